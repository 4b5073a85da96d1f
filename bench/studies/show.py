"""A study shown again from its records: `sslbench leaderboard --study`; imports no torch."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import SslbenchError
from bench.studies.formats import screen, to_markdown, to_table
from bench.studies.load import find
from bench.studies.manifest import evidence, folder_of, read
from bench.studies.table import report

if TYPE_CHECKING:
    from rich.console import Console


def show(name: str, results: Path, form: str, console: "Console") -> None:
    """Print a study's table and conclusion, computed anew from its records.

    Args:
        name: A study's name, or the path of its file.
        results: The results folder.
        form: ``table``, ``markdown`` or ``json``.
        console: Where the table goes.

    Raises:
        SslbenchError: No such study, none of its runs here, or a form that it does not have.
    """
    study = find(name)
    runs, drawn = read(results, study.name)
    found = report(study, evidence(results, runs))
    if form == "table":
        console.print(screen(found, console.width, drawn, str(folder_of(results, study.name))))
    elif form == "markdown":
        sys.stdout.write(to_markdown(found, drawn))
    elif form == "json":
        sys.stdout.write(json.dumps(to_table(found), indent=2, ensure_ascii=False) + "\n")
    else:
        raise SslbenchError(f"--format {form}: a study is shown as table, markdown or json")
