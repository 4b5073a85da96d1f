"""Wide tables on a terminal: as many columns side by side as it is wide, the rest in blocks below with the rows named again."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table as Grid
from rich.text import Text

PADDING = 1
GAP = PADDING + 1
"""Between two columns: the padding, and the box's invisible divider."""
LONGEST_NAME = 30


@dataclass(frozen=True)
class PrintedColumn:
    """A column as printed: its heading, perhaps of several lines, and one cell a row."""

    heading: str
    entries: tuple[Text, ...]

    @property
    def width(self) -> int:
        """Characters that it takes."""
        return max([len(line) for line in self.heading.split("\n")] + [entry.cell_len for entry in self.entries])


def wide_table(
    left: Sequence[PrintedColumn], kinds: Sequence[Sequence[PrintedColumn]], width: int, gaps: Collection[int] = ()
) -> Iterator[Grid]:
    """Yield the blocks of one table.

    Args:
        left: Columns that name the rows, in every block; the first is text.
        kinds: The other columns; where not all fit side by side, each kind starts a block.
        width: Of the terminal.
        gaps: Rows after which an empty line stands.
    """
    room = width - sum(min(column.width, LONGEST_NAME) + GAP for column in left)
    for block in _blocks(kinds, room):
        yield _grid(left, block, gaps)


def _blocks(kinds: Sequence[Sequence[PrintedColumn]], room: int) -> list[list[PrintedColumn]]:
    every = [column for kind in kinds for column in kind]
    if sum(column.width + GAP for column in every) <= room + GAP:
        return [every]
    blocks: list[list[PrintedColumn]] = []
    for kind in kinds:
        free = 0
        for place, column in enumerate(kind):
            if place == 0 or column.width > free:
                blocks.append([])
                free = room
            blocks[-1].append(column)
            free -= column.width + GAP
    return blocks


def _grid(left: Sequence[PrintedColumn], block: Sequence[PrintedColumn], gaps: Collection[int]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, PADDING, 0, 0), show_edge=False, header_style="bold")
    printed = [*left, *block]
    for place, column in enumerate(printed):
        grid.add_column(
            column.heading,
            justify="right" if place else "left",
            vertical="bottom",
            no_wrap=place > 0,
            overflow="fold",
            max_width=None if place else LONGEST_NAME,
        )
    for row in range(len(left[0].entries)):
        grid.add_row(*(column.entries[row] for column in printed))
        if row in gaps:
            grid.add_row()
    return grid
