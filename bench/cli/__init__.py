"""The command line ``sslbench``: one file per command; each parses, calls and prints."""


def main() -> None:
    """Run ``sslbench``; Ctrl-C ends it without a traceback, also while it is still importing."""
    try:
        import sys

        from bench.cli.program import run_program

        code = run_program(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    raise SystemExit(code)
