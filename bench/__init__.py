"""The harness: all that is the same for every method and every protocol."""

HARNESS_VERSION = 1
"""Goes up whenever a change of the harness changes results; records of another version are stale."""
