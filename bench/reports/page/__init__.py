"""The page of a results folder: one HTML file that needs nothing else."""
