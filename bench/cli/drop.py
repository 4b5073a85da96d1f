"""``sslbench drop``: remove a run and all of its files."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options as shared
from bench.errors import SslbenchError


def drop(
    run: shared.RunName,
    results: shared.Results = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Remove a run: its record, encoder, checkpoints, log and snapshots."""
    from bench.leaderboard.read import Selection, leaderboard_of, read_records
    from bench.records.lookup import find
    from bench.records.record_json import to_json
    from bench.records.store import Store
    from bench.reports.formats import write_leaderboard

    store = Store(results)
    record = find(store, run)
    identity = record.identity
    stored = store.read(identity)
    if stored is None or to_json(stored) != to_json(record):
        raise SslbenchError(
            f"{run}: is not a run of {results} at its own place; delete the file, or name its folder with --results"
        )
    name = store.record_path(identity).relative_to(store.records_dir(identity.task)).with_suffix("").as_posix()
    if not yes:
        typer.confirm(
            f"Remove {name} ({record.status}) from {results}, with its encoder, checkpoints and log?", abort=True
        )
    with store.claim(identity, wait=False) as locked:
        if not locked:
            raise SslbenchError(f"{name}: another process is carrying out this run; stop it first")
        removed = store.remove(identity)
    for path in removed:
        typer.echo(f"removed {path}")
    if (results / "leaderboard.md").exists():
        records, problems = read_records(results, "test")
        shared.report_problems(problems)
        write_leaderboard(leaderboard_of(records, Selection()), results)
