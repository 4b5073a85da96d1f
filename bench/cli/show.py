"""``sslbench show``: one record in full."""

from pathlib import Path

from bench.cli import options as shared


def show(run: shared.RunName, results: shared.Results = Path("results")) -> None:
    """Show one record in full, with its loss curve."""
    from bench.records.lookup import find
    from bench.records.store import Store
    from bench.reports.record import to_screen

    console = shared.console()
    console.print(to_screen(find(Store(results), run), console.width))
