"""Pretraining: the loop, optimisers, batches, loss history."""
