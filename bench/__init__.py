"""The harness: everything that is the same for all methods and protocols."""

HARNESS_VERSION = 1
"""Increases whenever a change of the harness changes results; records of another version are stale."""
