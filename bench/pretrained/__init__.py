"""Encoders pretrained elsewhere (timm, checkpoint files, plugin functions), and the export of trained encoders."""
