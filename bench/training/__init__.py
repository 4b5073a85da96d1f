"""Pretraining: the training loop, optimisers, batches, loss history, and the options of runs."""
