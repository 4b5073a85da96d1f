"""The command line: one file per command."""

from bench.cli.app import main as main
