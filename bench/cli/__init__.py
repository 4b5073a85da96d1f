"""The command line ``sslbench``: one file per command; each parses, calls and prints."""


def main() -> None:
    """Run ``sslbench``."""
    import sys

    from bench.cli.old_spellings import translated
    from bench.cli.program import app
    from bench.errors import run_cli

    arguments = translated(sys.argv[1:])
    run_cli(lambda: app(arguments))
