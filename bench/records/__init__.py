"""Records of runs: their types, files, logs and checkpoints."""
