"""Encoders that were pretrained elsewhere, and the export of our own."""
