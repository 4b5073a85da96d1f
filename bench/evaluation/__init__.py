"""Evaluation: features of an encoder, protocols, and the comparison with the test labels."""
