"""Records of runs, their files, logs and checkpoints."""
