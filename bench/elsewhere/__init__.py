"""Encoders that were pretrained elsewhere: timm's models, files of weights, and functions of a plugin."""
