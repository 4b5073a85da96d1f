"""``sslbench show``: one record in full."""

from pathlib import Path

from bench.cli import options as shared


def show(run: shared.RunName, results: shared.Results = Path("results")) -> None:
    """Show one record in full: scores, loss curve, recipe, notes, and where its log is."""
    from bench.records.lookup import find
    from bench.records.store import Store
    from bench.reports.record import to_screen

    record = find(Store(results), run)
    log = Store(_folder_of(Path(run)) or results).log_path(record.identity)
    console = shared.console()
    console.print(to_screen(record, console.width, log if log.is_file() else None))


def _folder_of(file: Path) -> Path | None:
    """Return the results folder of a record's file, or None if ``file`` is no file in such a folder."""
    if not file.is_file():
        return None
    folders = file.resolve().parents
    return folders[5] if len(folders) > 5 and folders[4].name in ("records", "records-val") else None
