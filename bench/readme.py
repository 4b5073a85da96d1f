"""The README's leaderboard, written from the committed records: `python -m bench.readme`."""

import re
from pathlib import Path

from bench.atomic import write_text
from bench.board import Selection, read_board
from bench.errors import SslbenchError
from bench.leaderboard_formats import to_markdown

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- leaderboard: (\S+) [^>]*-->\n).*?(<!-- end of leaderboard -->)", re.DOTALL)
"""From ``<!-- leaderboard: digits … -->`` to the end mark; the first word names the data set."""


def with_tables(text: str, results: Path) -> str:
    """Return a README with each marked block replaced by the table of its data set.

    Raises:
        SslbenchError: The text has no block, or no record is of its data set.
    """
    if not BLOCK.search(text):
        raise SslbenchError("README.md has no block '<!-- leaderboard: DATASET … -->'; put one in")

    def table(block: "re.Match[str]") -> str:
        board, _ = read_board(results, Selection(dataset=block[2]))
        return f"{block[1]}\n{to_markdown(board).strip()}\n\n{block[3]}"

    return BLOCK.sub(table, text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    write_text(readme, with_tables(readme.read_text(), ROOT / "results" / "reference"))
