"""The README's leaderboards and speeds, written from the committed records and measurements: `python -m bench.maintenance.update_readme`."""

import re
from pathlib import Path

from bench.atomic import write_text
from bench.errors import SslbenchError
from bench.leaderboard.read import Selection, read_leaderboard
from bench.maintenance.throughput import read
from bench.maintenance.throughput_report import worth_saying
from bench.reports.formats import to_markdown

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- leaderboard: (\S+) [^>]*-->\n).*?(<!-- end of leaderboard -->)", re.DOTALL)
"""From ``<!-- leaderboard: digits/standard … -->`` to the end mark; the first word names the data set and the budget."""

SPEEDS = re.compile(r"(<!-- throughput: (\S+) [^>]*-->\n).*?(<!-- end of throughput -->)", re.DOTALL)
"""From ``<!-- throughput: 2-cores … -->`` to the end mark; the first word names the file under ``results/throughput``."""


def with_tables(text: str, results: Path) -> str:
    """Return a README with each marked block replaced by the tables, one a backbone, of its data set and budget.

    Raises:
        SslbenchError: The text has no block, or no record is of its data set and budget.
    """
    if not BLOCK.search(text):
        raise SslbenchError("README.md has no block '<!-- leaderboard: DATASET/BUDGET … -->'; put one in")

    def table(block: "re.Match[str]") -> str:
        dataset, _, budget = block[2].partition("/")
        board, _ = read_leaderboard(results, Selection(dataset=dataset, budget=budget or None))
        return f"{block[1]}\n{to_markdown(board).strip()}\n\n{block[3]}"

    return BLOCK.sub(table, text)


def with_speeds(text: str, folder: Path) -> str:
    """Return a README with each marked block replaced by what a file of measured speeds is worth."""

    def sentences(block: "re.Match[str]") -> str:
        return f"{block[1]}\n{worth_saying(read(folder / f'{block[2]}.json'))}\n\n{block[3]}"

    return SPEEDS.sub(sentences, text)


if __name__ == "__main__":
    readme, results = ROOT / "README.md", ROOT / "results"
    write_text(readme, with_speeds(with_tables(readme.read_text(), results / "reference"), results / "throughput"))
