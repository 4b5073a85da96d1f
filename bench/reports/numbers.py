"""The text of a table's numbers, title and legend, the same for the terminal and for files."""

from dataclasses import dataclass, replace

from bench.leaderboard.tables import GROUPS, Column, Row, Score, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Cost

NONE = "–"
"""Shown for a missing value."""

_GROUP_TITLES = {"elsewhere": "pretrained elsewhere"}


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


def score(found: Score | None, column: Column, between: str = " ± ") -> str:
    """Return a score as text, with its standard deviation over seeds if there is one."""
    if column.same_as:
        return "="
    if found is None:
        return NONE
    mean = number(found.mean, column)
    return mean if found.std is None else f"{mean}{between}{number(found.std, column)}"


def cost(costs: Cost, column: CostColumn) -> str:
    """Return a cost as text, in the unit of its column."""
    value = getattr(costs, column.field)
    if not value:
        return NONE if value is None else "0"
    return f"{value / column.unit:,.{column.decimals}f}"


def rank(row: Row) -> str:
    """Return the mean rank as text; empty if the row has none."""
    return "" if row.rank is None else f"{row.rank:.1f}"


def label(row: Row) -> str:
    """Return the method with its changed settings, † for another device or precision, and a status other than ``ok``."""
    return row.label + ("†" if row.marked else "") + ("" if row.status == "ok" else f" ({row.status})")


def title(table: Table) -> str:
    """Return the title of a table: data set, backbone, budget, task."""
    trained = [table.backbone, table.budget]
    if table.budget == NO_BUDGET:
        trained = ([] if table.backbone == OWN_NETWORK else [table.backbone]) + ["pretrained elsewhere"]
    return ", ".join([table.dataset, *trained] + (["development task"] if table.task == "val" else []))


def tables_of_other_backbones(table: Table) -> list[Table]:
    """Return copies of the table with the other backbones of the same images; only their titles are meaningful."""
    return [replace(table, backbone=backbone) for backbone in table.other_backbones]


def legend(table: Table) -> list[str]:
    """Return the sentences below a table: its metric, chance, marks, and notes."""
    seeds = sorted({len(row.seeds) for row in table.rows if row.scores}) or [0]
    seeds_text = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    images = f" on {table.images:,} test images" if table.images else ""
    sentences = [
        f"Top-1 accuracy in percent{images}" + (f", chance {100 / table.classes:.3g}" if table.classes else "")
    ]
    if seeds[-1] > 1:
        sentences[0] += f"; ± standard deviation over {seeds_text} seeds"
    sentences[0] += "."
    if any(found.tied_with_best for row in table.rows for found in row.scores.values()):
        sentences.append(
            "*: not significantly different from the best method in the column (5 % level, Holm-corrected)."
        )
    if any(row.rank is not None for row in table.rows):
        sentences.append("Rank: mean of the ranks on knn, linear and the low-shot family.")
    unranked = [group for group in GROUPS[1:] if any(row.group == group for row in table.rows)]
    if unranked:
        sentences.append(f"Not ranked: {', '.join(_GROUP_TITLES.get(group, group) for group in unranked)}.")
    if any(row.marked for row in table.rows):
        sentences.append("†: ran on another device or in another precision than most rows.")
    return sentences + list(table.notes)
