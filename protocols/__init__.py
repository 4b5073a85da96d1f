"""Evaluation protocols: the catalogue of ids and constants, and one file per protocol family that computes."""
