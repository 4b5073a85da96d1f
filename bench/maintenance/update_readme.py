"""Write what is generated in README and notes from the committed records and figures: ``python -m bench.maintenance.update_readme``."""

import re
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bench.atomic import write_text
from bench.errors import SslbenchError, run_cli
from bench.leaderboard.build import on_seeds
from bench.leaderboard.read import Selection, leaderboard_of, read_records
from bench.leaderboard.tables import Leaderboard, Table
from bench.maintenance.throughput import read
from bench.maintenance.throughput_report import three_figures
from bench.records.record import Record
from bench.registry.methods import method_names
from bench.reports.formats import to_markdown
from bench.reports.label_free import answers
from bench.reports.label_free import to_markdown as label_free_text
from bench.reports.numbers import COST_COLUMNS

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("knn", "linear", "lowshot-1", "lowshot-10pct", "lowshot-1-frozen", "lowshot-10pct-frozen")
ALL_TABLES = "results/reference/leaderboard.md"
COSTS = tuple(column for column in COST_COLUMNS if column.field == "pretrain_s")

LEADERBOARD = re.compile(
    r"(<!-- leaderboard: (\S+)/(\S+)/(\S+) top (\d+) [^>]*-->\n).*?(<!-- end of leaderboard -->)", re.DOTALL
)
"""A block from ``<!-- leaderboard: DATASET/BACKBONE/BUDGET top N (…) -->`` to its end mark."""

THROUGHPUT = re.compile(r"(<!-- throughput: (\S+) [^>]*-->\n).*?(<!-- end of throughput -->)", re.DOTALL)
"""A block from ``<!-- throughput: FILE (…) -->`` to its end mark; FILE is a name in ``results/throughput`` without suffix."""

LABEL_FREE = re.compile(r"(<!-- label-free [^>]*-->\n).*?(<!-- end of label-free -->)", re.DOTALL)
"""A block from ``<!-- label-free (…) -->`` to its end mark."""


def with_leaderboards(text: str, results: Path) -> str:
    """Return the README's text with new tables in its leaderboard blocks.

    Raises:
        SslbenchError: There are no records for a block.
    """
    records, _ = read_records(results)

    def block(match: "re.Match[str]") -> str:
        start, dataset, backbone, budget, top, end = match.groups()
        found = leaderboard_of(records, Selection(dataset, backbone, budget), folder=str(results)).tables
        (table,) = (table for table in found if table.tuned is None)
        shown = best_rows(table, int(top))
        counts = [sum(row.group == "methods" for row in rows) for rows in (shown.rows, table.rows)]
        lines = [
            to_markdown(Leaderboard((shown,)), COSTS).strip(),
            "",
            f"The best {counts[0]} of {counts[1]} methods, by rank.",
            "",
        ]
        missing = sorted(_catalogue_methods() - _recorded(records, dataset, budget))
        if missing:
            lines += [f"Not recorded here yet: {', '.join(missing)}.", ""]
        lines += [f"The complete tables: [{ALL_TABLES}]({ALL_TABLES}).", ""]
        return start + "\n" + "\n".join(lines) + "\n" + end

    return LEADERBOARD.sub(block, text)


def best_rows(table: Table, top: int) -> Table:
    """Return a table with only the best ranked methods, floor and ceiling, and the README's columns."""
    methods = [row for row in table.rows if row.group == "methods"][:top]
    rows = (*methods, *(row for row in table.rows if row.group == "floor and ceiling"))
    columns = tuple(column for column in table.columns if column.id in COLUMNS)
    hidden = {row.label for row in table.rows} | {column.id for column in table.columns}
    hidden -= {row.label for row in rows} | {column.id for column in columns}
    left_out = on_seeds(table)
    notes = [note for note in table.notes if note.split()[0] not in hidden and note not in left_out]
    shown = replace(table, rows=rows, columns=columns, other_backbones=())
    return replace(shown, notes=(*notes, *on_seeds(shown)))


def _catalogue_methods() -> set[str]:
    """Return the methods of this repository, without those of installed packages and plugins."""
    return {name for name in method_names() if (ROOT / "methods" / f"{name}.py").is_file()}


def _recorded(records: Collection[Record], dataset: str, budget: str) -> set[str]:
    """Return the methods that have a record with their default settings, on any backbone."""
    identities = [record.identity for record in records]
    return {i.method for i in identities if (i.dataset, i.budget) == (dataset, budget) and not i.settings}


def with_throughput(text: str, folder: Path) -> str:
    """Return the README's text with new figures in its throughput blocks.

    Raises:
        SslbenchError: There is no file for a block.
    """

    def block(match: "re.Match[str]") -> str:
        return f"{match[1]}\n{three_figures(read(folder / f'{match[2]}.json'))}\n\n{match[3]}"

    return THROUGHPUT.sub(block, text)


def with_label_free(text: str, results: Path) -> str:
    """Return the notes' text with new correlations of label-free figures and accuracies in its block."""

    def block(match: "re.Match[str]") -> str:
        records, _ = read_records(results)
        tables = leaderboard_of(records, Selection(), all_protocols=True, folder=str(results))
        return f"{match[1]}\n{label_free_text(answers(tables, records))}\n{match[2]}"

    return LABEL_FREE.sub(block, text)


def update() -> None:
    """Write all blocks of README.md, and of the notes on the committed results."""
    readme, results = ROOT / "README.md", ROOT / "results"
    text = readme.read_text()
    if not LEADERBOARD.search(text):
        raise SslbenchError("README.md has no block '<!-- leaderboard: DATASET/BACKBONE/BUDGET top N (…) -->'; add one")
    write_text(readme, with_throughput(with_leaderboards(text, results / "reference"), results / "throughput"))
    notes = results / "reference" / "NOTES.md"
    write_text(notes, with_label_free(notes.read_text(), results / "reference"))


if __name__ == "__main__":
    run_cli(update)
