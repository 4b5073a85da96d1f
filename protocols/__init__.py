"""Evaluation protocols: a torch-free catalogue, and one file for each family that computes."""
