"""Text for the terminal, and tables wider than it: columns that do not fit continue in blocks below, each with the row names."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.table import Table as RichTable
from rich.text import Text

from bench.printable import printable

PADDING = 1
GAP = PADDING + 1
"""Characters between two columns: the padding and the box's invisible divider."""
LONGEST_NAME = 30
"""Longer row names are wrapped."""


def text(content: str, style: str = "") -> Text:
    """Return a text for the terminal: one line of visible characters, without markup."""
    return Text(printable(content), style)


def name_text(name: str, style: str = "") -> Text:
    """Return the name of a row, with line breaks after commas and before brackets if it is longer than ``LONGEST_NAME``."""
    lines = [""]
    for part in re.findall(r" ?[^, ]+,?|[, ]", printable(name)):
        if lines[-1] and len(lines[-1]) + len(part) > LONGEST_NAME:
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return Text("\n".join(lines), style)


@dataclass(frozen=True)
class PrintedColumn:
    """A column as printed: a heading of one or more lines, and one entry per row."""

    heading: str
    entries: tuple[Text, ...]

    @property
    def width(self) -> int:
        """Width in characters."""
        lines = [line for entry in self.entries for line in entry.split()]
        return max([cell_len(line) for line in self.heading.split("\n")] + [line.cell_len for line in lines])


def wide_table(
    row_names: Sequence[PrintedColumn],
    groups: Sequence[Sequence[PrintedColumn]],
    width: int,
    blank_after: Collection[int] = (),
) -> Iterator[RichTable]:
    """Yield the blocks of one table.

    Args:
        row_names: The columns that name the rows, repeated in every block.
        groups: The other columns; if they do not all fit next to each other, each group starts a new block.
        width: Width of the terminal in characters.
        blank_after: Indices of rows that are followed by a blank line.
    """
    available = width - sum(min(column.width, LONGEST_NAME) + GAP for column in row_names)
    for block in _blocks(groups, available):
        yield _rich_table(row_names, block, blank_after)


def _blocks(groups: Sequence[Sequence[PrintedColumn]], available: int) -> list[list[PrintedColumn]]:
    columns = [column for group in groups for column in group]
    if sum(column.width + GAP for column in columns) <= available + GAP:
        return [columns]
    blocks: list[list[PrintedColumn]] = []
    for group in groups:
        free = 0
        for index, column in enumerate(group):
            if index == 0 or column.width > free:
                blocks.append([])
                free = available
            blocks[-1].append(column)
            free -= column.width + GAP
    return blocks


def _rich_table(
    row_names: Sequence[PrintedColumn], block: Sequence[PrintedColumn], blank_after: Collection[int]
) -> RichTable:
    table = RichTable(
        box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, PADDING, 0, 0), show_edge=False, header_style="bold"
    )
    columns = [*row_names, *block]
    for index, column in enumerate(columns):
        table.add_column(
            Text(column.heading),
            justify="right" if index else "left",
            no_wrap=index > 0,
            overflow="fold",
            max_width=None if index else LONGEST_NAME,
        )
    for row in range(len(row_names[0].entries)):
        table.add_row(*(column.entries[row] for column in columns))
        if row in blank_after:
            table.add_row()
    return table
