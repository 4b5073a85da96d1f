"""The leaderboard as markdown and LaTeX, all its text formats by name, and its files."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol

from bench.atomic import write_text
from bench.leaderboard.tables import Column, Leaderboard, Score, Table
from bench.printable import latex, markdown, printable
from bench.reports import numbers
from bench.reports.data_formats import to_csv, to_json
from bench.reports.format_names import NAMES

CAPTION = 4000
"""Largest number of characters of a caption in LaTeX."""


def to_markdown(
    leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn] = numbers.COST_COLUMNS, gaps: bool = False
) -> str:
    """Return all tables in GitHub's markdown, what could be the best in bold, with the given columns of costs and on request the gaps."""
    parts = []
    for table in leaderboard.tables:
        headings = ["rank", "method", *(markdown(c.id) for c in table.columns), *(c.heading for c in costs)]
        lines = [
            f"### {markdown(numbers.title(table))}",
            "",
            _md_line(headings),
            _md_line(["--:", ":--"] + ["--:"] * (len(headings) - 2)),
        ]
        for row in table.rows:
            scores = [_md_score(row.scores.get(c.id), c, table, gaps) for c in table.columns]
            cost_cells = [numbers.cost(row.cost, c) for c in costs]
            name = markdown(numbers.label(row, table))
            lines.append(
                _md_line(
                    [numbers.whole_rank(row), name if row.group == "methods" else f"*{name}*", *scores, *cost_cells]
                )
            )
        legend = [markdown(_with_bold(sentence)) for sentence in numbers.legend(table, gaps)]
        links = [
            f"[{markdown(numbers.title(other))}](#{_anchor(numbers.title(other))})"
            for other in numbers.tables_of_other_backbones(table)
        ]
        legend += [f"Same images, another backbone: {', '.join(links)}."] if links else []
        parts.append("\n".join([*lines, "", "  \n".join(legend), ""]))
    return "\n".join(parts)


def _with_bold(sentence: str) -> str:
    """Return a sentence of the legend for a format that prints what could be the best in bold."""
    return "Bold" + sentence.removeprefix(numbers.BEST) if sentence.startswith(numbers.BEST) else sentence


def _anchor(title: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", printable(title).lower()).replace(" ", "-")


def _md_line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"


def _md_score(score: Score | None, column: Column, table: Table, gaps: bool) -> str:
    text = numbers.score(score, column, mean_class=" / " if table.unequal else None)
    if score is None:
        return text
    text = f"**{text}**" if score.could_be_best else text
    text += numbers.NOT_ABOVE if score.above_untrained is False else ""
    return f"{text}<br>{numbers.gap(score.gap)}" if gaps and score.gap else text


def to_latex(leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn] = (), gaps: bool = False) -> str:
    """Return all tables for the LaTeX package booktabs, with the given columns of costs and on request the gaps.

    What could be the best is in bold, and a rule separates the groups. The caption has the title and explains the marks; notes are below the table.
    """
    parts = []
    for table in leaderboard.tables:
        caption = " ".join([f"{numbers.title(table)}.", *map(_with_bold, numbers.explanations(table, gaps))])
        lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(caption, longest=CAPTION)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(table.columns) + 1 + len(costs))}}}", r"\toprule"]
        headings = ["method", *(c.id for c in table.columns), "rank", *(c.heading for c in costs)]
        lines.append(_tex_line([latex(heading) for heading in headings]))
        for _, rows in groupby(table.rows, key=lambda row: row.group):
            lines.append(r"\midrule")
            for row in rows:
                scores = [_tex_score(row.scores.get(c.id), c, table, gaps) for c in table.columns]
                cost_cells = [latex(numbers.cost(row.cost, c)) for c in costs]
                name = latex(numbers.label(row, table))
                lines.append(_tex_line([name, *scores, numbers.whole_rank(row), *cost_cells]))
        lines += [r"\bottomrule", r"\end{tabular}"]
        facts = [rf"\par {latex(sentence)}" for sentence in numbers.facts(table)]
        lines += [r"\par\medskip\raggedright\footnotesize", *facts] if facts else []
        parts.append("\n".join([*lines, r"\end{table}", ""]))
    return "\n".join(parts)


def _tex_line(entries: list[str]) -> str:
    return " & ".join(entries) + r" \\"


def _tex_score(score: Score | None, column: Column, table: Table, gaps: bool) -> str:
    text = latex(numbers.score(score, column, mean_class=" / " if table.unequal else None))
    if score is None:
        return text
    text = rf"\textbf{{{text}}}" if score.could_be_best else text
    text += latex(numbers.NOT_ABOVE) if score.above_untrained is False else ""
    return rf"\shortstack[r]{{{text}\\{numbers.gap(score.gap)}}}" if gaps and score.gap else text


FORMATS: dict[str, Callable[[Leaderboard], str]] = dict(
    zip(NAMES, (to_markdown, to_csv, to_json, to_latex), strict=True)
)
"""The text formats of a leaderboard by name; the choices of `sslbench leaderboard --format`, next to `table`."""


class PrintedFormat(Protocol):
    """A format for people, which has the costs and the gaps on request."""

    def __call__(self, leaderboard: Leaderboard, costs: Sequence[numbers.CostColumn], gaps: bool) -> str:
        """Return all tables."""


PRINTED_FORMATS: dict[str, PrintedFormat] = {"markdown": to_markdown, "latex": to_latex}
"""The formats that have the costs and the gaps on request; the others always have them."""


def write_leaderboard(leaderboard: Leaderboard, folder: Path) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.json`` to a results folder, each atomically; return their paths.

    Raises:
        SslbenchError: The folder is not writable.
    """
    paths = []
    for suffix, text in (
        ("md", to_markdown(leaderboard)),
        ("csv", to_csv(leaderboard)),
        ("json", to_json(leaderboard)),
    ):
        paths.append(folder / f"leaderboard.{suffix}")
        write_text(paths[-1], text)
    return paths
