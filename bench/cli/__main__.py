"""Lets ``python -m bench.cli`` start the program."""

from bench.cli import main

main()
