"""Carrying out runs: processes, one run from start to record, progress."""
