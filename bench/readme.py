"""The README's leaderboard, written from the committed records: `python -m bench.readme`."""

import re
from pathlib import Path

from bench.atomic import write_text
from bench.board import Selection, read_board
from bench.errors import SslbenchError
from bench.leaderboard_formats import to_markdown

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- leaderboard: (\S+) [^>]*-->\n).*?(<!-- end of leaderboard -->)", re.DOTALL)
"""From ``<!-- leaderboard: digits/standard … -->`` to the end mark; the first word names the data set and the budget."""


def with_tables(text: str, results: Path) -> str:
    """Return a README with each marked block replaced by the tables, one a backbone, of its data set and budget.

    Raises:
        SslbenchError: The text has no block, or no record is of its data set and budget.
    """
    if not BLOCK.search(text):
        raise SslbenchError("README.md has no block '<!-- leaderboard: DATASET/BUDGET … -->'; put one in")

    def table(block: "re.Match[str]") -> str:
        dataset, _, budget = block[2].partition("/")
        board, _ = read_board(results, Selection(dataset=dataset, budget=budget or None))
        return f"{block[1]}\n{to_markdown(board).strip()}\n\n{block[3]}"

    return BLOCK.sub(table, text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    write_text(readme, with_tables(readme.read_text(), ROOT / "results" / "reference"))
