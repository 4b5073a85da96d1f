"""The text of a table's numbers, title and legend, the same for the terminal and for files."""

import math
from dataclasses import dataclass, replace

from bench.leaderboard.tables import GROUPS, UNTRAINED, Column, Row, Score, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Cost

NONE = "–"
"""Shown for a missing value."""

TIED, NOT_ABOVE, UNUSUAL = "*", "‡", "†"
"""Marks of a score that is tied with the best, of one that is not above ``random_init``, and of a row on another device."""

_NOT_RANKED = {
    "changed settings": "changed settings (named after the +)",
    "elsewhere": "pretrained elsewhere (encoders that sslbench did not train)",
    "floor and ceiling": "floor and ceiling (not trained, or trained with labels)",
}


@dataclass(frozen=True)
class CostColumn:
    """A column of costs.

    Attributes:
        field: The field of ``Cost``.
        heading: The heading, with the unit.
        unit: What the values are divided by.
        decimals: Number of decimals shown.
    """

    field: str
    heading: str
    unit: float = 1.0
    decimals: int = 0


COST_COLUMNS = (
    CostColumn("pretrain_s", "pretrain s"),
    CostColumn("images_per_s", "images /s"),
    CostColumn("views_per_image", "views"),
    CostColumn("peak_memory_mb", "peak MB"),
    CostColumn("parameters", "params M", unit=1e6, decimals=2),
)


def number(value: float, column: Column) -> str:
    """Return a score as text: one decimal for percent, otherwise three significant digits."""
    return f"{value:.1f}" if column.percent else f"{value:.3g}"


def score(found: Score | None, column: Column, between: str = " ± ", mean_class: str | None = None) -> str:
    """Return a score as text, with its standard deviation over seeds if there is one.

    Args:
        found: The score, or None.
        column: Its column.
        between: Sign between mean and standard deviation.
        mean_class: Sign before the mean class accuracy, or None to leave it out.
    """
    if column.same_as:
        return "="
    if found is None:
        return NONE
    text = number(found.mean, column)
    if found.std is not None:
        text += f"{between}{number(found.std, column)}"
    if mean_class is not None and "mean_class" in found.metrics and column.percent:
        text += f"{mean_class}{number(found.metrics['mean_class'], column)}"
    return text


def cost(costs: Cost, column: CostColumn) -> str:
    """Return a cost as text, in the unit of its column."""
    value = getattr(costs, column.field)
    if not value:
        return NONE if value is None else "0"
    if not math.isfinite(value):
        return str(value)
    return f"{value / column.unit:,.{column.decimals}f}"


def rank(row: Row) -> str:
    """Return the mean rank as text; empty if the row has none."""
    return "" if row.rank is None else f"{row.rank:.1f}"


def label(row: Row, table: Table) -> str:
    """Return the name of a row with its marks, the numbers of its notes, and a status other than ``ok``."""
    numbered = note_numbers(table)
    text = row.name + (UNUSUAL if row.marked else "") + (NOT_ABOVE if row.nothing_above_untrained else "")
    text += "".join(f" [{numbered[note]}]" for note in row.notes)
    return text + ("" if row.status == "ok" else f" ({row.status})")


def note_numbers(table: Table) -> dict[str, int]:
    """Return the number of each note of a row; equal notes share one."""
    return {note: i for i, note in enumerate(dict.fromkeys(n for row in table.rows for n in row.notes), 1)}


def title(table: Table) -> str:
    """Return the title of a table: data set, backbone, budget, task, and whether its rows are tuned."""
    trained = [table.backbone, table.budget]
    if table.budget == NO_BUDGET:
        trained = ([] if table.backbone == OWN_NETWORK else [table.backbone]) + ["pretrained elsewhere"]
    more = ["development task"] if table.task == "val" else []
    more += [] if table.tuned is None else [f"tuned ({table.tuned:,} trials)"]
    return ", ".join([table.dataset, *trained, *more])


def tables_of_other_backbones(table: Table) -> list[Table]:
    """Return copies of the table with the other backbones of the same images; only their titles are meaningful."""
    return [replace(table, backbone=backbone) for backbone in table.other_backbones]


def legend(table: Table) -> list[str]:
    """Return the sentences below a table: its metric, chance and marks, and what is particular to it."""
    return explanations(table) + facts(table)


def facts(table: Table) -> list[str]:
    """Return the notes of the table and of its rows."""
    return [*table.notes, *(f"[{number}] {_sentence(note)}" for note, number in note_numbers(table).items())]


def _sentence(note: str) -> str:
    return note if note.endswith(".") else note + "."


def explanations(table: Table) -> list[str]:
    """Return one sentence on the metric, and one for each mark that the table contains."""
    scores = [found for row in table.rows for found in row.scores.values()]
    sentences = [_metric(table)]
    if table.unequal:
        assert table.largest_class is not None and table.classes
        sentences.append(
            f"After /: mean class accuracy, because the classes are unequal: always answering the largest class has "
            f"{100 * table.largest_class:.1f} top-1 and {100 / table.classes:.3g} mean class accuracy."
        )
    if any(found.tied_with_best for found in scores):
        sentences.append(
            f"{TIED}: not significantly different from the best method in the column (5 % level, Holm-corrected)."
        )
    if any(f.above_untrained is False for f in scores) or any(row.nothing_above_untrained for row in table.rows):
        sentence = f"{NOT_ABOVE} after a score: not higher than that of {UNTRAINED}, the network before training"
        if any(row.nothing_above_untrained for row in table.rows):
            sentence += "; after a name: in no column higher by more than noise (5 % level, Holm-corrected)"
        sentences.append(sentence + ".")
    if any(row.rank is not None for row in table.rows):
        sentences.append("Rank: mean of the ranks on knn, linear and the low-shot family.")
    unranked = [group for group in GROUPS[1:] if any(row.group == group for row in table.rows)]
    if unranked:
        sentences.append(f"Not ranked: {'; '.join(_NOT_RANKED[group] for group in unranked)}.")
    if any(row.marked for row in table.rows):
        sentences.append(f"{UNUSUAL}: ran on another device or in another precision than most rows.")
    if any(column.same_as for column in table.columns):
        sentences.append("=: the same label sets as another column, which shows the result.")
    if any(row.plugin for row in table.rows) or any(column.plugin and "@" in column.id for column in table.columns):
        sentences.append("@: first digits of the hash of the plugin's content.")
    return sentences


def _metric(table: Table) -> str:
    seeds = sorted({len(row.seeds) for row in table.rows if row.scores}) or [0]
    sentence = "Top-1 accuracy in percent"
    measured = "validation" if table.task == "val" else "test"
    sentence += f" on {table.images:,} {measured} images" if table.images else ""
    sentence += f", chance {100 / table.classes:.3g}" if table.classes else ""
    if seeds[-1] > 1:
        over = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        sentence += f"; ± standard deviation over {over} seeds"
    return sentence + "."
