"""Execution of runs: the session, its processes, one run from start to record, progress."""
