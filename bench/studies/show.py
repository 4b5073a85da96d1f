"""Show a study's table and conclusion from its records, without running anything. Imports no torch."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import SslbenchError
from bench.studies.formats import screen, to_markdown, to_table
from bench.studies.load import find
from bench.studies.manifest import folder_of, load_results, read
from bench.studies.table import build_report

if TYPE_CHECKING:
    from rich.console import Console


def show(name: str, results: Path, form: str, console: "Console") -> None:
    """Print a study's table and conclusion, computed from its records.

    Args:
        name: Name of a study, or path of its file.
        results: The results folder.
        form: ``table``, ``markdown`` or ``json``.
        console: Where the table is printed; markdown and JSON go to standard output.

    Raises:
        SslbenchError: There is no such study, it has no results in this folder, or the format is not known.
    """
    study = find(name)
    runs, pictures = read(results, study.name)
    report = build_report(study, load_results(results, runs))
    if form == "table":
        console.print(screen(report, console.width, pictures, str(folder_of(results, study.name))))
    elif form == "markdown":
        sys.stdout.write(to_markdown(report, pictures))
    elif form == "json":
        sys.stdout.write(json.dumps(to_table(report), indent=2, ensure_ascii=False) + "\n")
    else:
        raise SslbenchError(f"--format {form}: a study is shown as table, markdown or json")
