"""How the numbers of a table are written, on the screen and in files."""

from dataclasses import dataclass, replace

from bench.leaderboard.tables import GROUPS, Column, Row, Score, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Cost

NONE = "–"
_APART = {"elsewhere": "pretrained elsewhere"}


@dataclass(frozen=True)
class CostColumn:
    """A column of cost: the field of ``Cost``, its heading with the unit, and what its values are divided by."""

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
    """Return a score: one decimal for percent, else three digits."""
    return f"{value:.1f}" if column.percent else f"{value:.3g}"


def score(found: Score | None, column: Column, between: str = " ± ") -> str:
    """Return a score with its deviation over seeds, where there is one."""
    if column.same_as:
        return "="
    if found is None:
        return NONE
    mean = number(found.mean, column)
    return mean if found.std is None else f"{mean}{between}{number(found.std, column)}"


def cost(costs: Cost, column: CostColumn) -> str:
    """Return one cost in the unit of its column."""
    value = getattr(costs, column.field)
    if not value:
        return NONE if value is None else "0"
    return f"{value / column.unit:,.{column.decimals}f}"


def rank(row: Row) -> str:
    """Return the mean rank, empty where there is none."""
    return "" if row.rank is None else f"{row.rank:.1f}"


def label(row: Row) -> str:
    """Return the method with what sets its row apart: changed settings, another device, a bad end."""
    return row.label + ("†" if row.marked else "") + ("" if row.status == "ok" else f" ({row.status})")


def title(table: Table) -> str:
    """Return what a table is of."""
    trained = [table.backbone, table.budget]
    if table.budget == NO_BUDGET:
        trained = [name for name in (table.backbone,) if name != OWN_NETWORK] + ["pretrained elsewhere"]
    return ", ".join([table.dataset, *trained] + (["development task"] if table.task == "val" else []))


def beside(table: Table) -> list[Table]:
    """Return the tables of the same images on other backbones, by their names alone."""
    return [replace(table, backbone=backbone) for backbone in table.beside]


def legend(table: Table) -> list[str]:
    """Return the sentences under a table: what is shown, chance, ties, and what its rows need said."""
    seeds = sorted({len(row.seeds) for row in table.rows if row.scores}) or [0]
    several = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    images = f" on {table.images:,} test images" if table.images else ""
    sentences = [
        f"Top-1 accuracy in percent{images}" + (f", chance {100 / table.classes:.3g}" if table.classes else "")
    ]
    if seeds[-1] > 1:
        sentences[0] += f"; ± deviation over {several} seeds"
    sentences[0] += "."
    if any(found.tied_with_best for row in table.rows for found in row.scores.values()):
        sentences.append("*: not different from the best method of the column (5 %, Holm).")
    if any(row.rank is not None for row in table.rows):
        sentences.append("Rank: mean of the ranks in knn, linear and the low-shot family.")
    apart = [group for group in GROUPS[1:] if any(row.group == group for row in table.rows)]
    if apart:
        sentences.append(f"Apart and not ranked: {', '.join(_APART.get(group, group) for group in apart)}.")
    if any(row.marked for row in table.rows):
        sentences.append("†: another device or precision than most rows.")
    return sentences + list(table.notes)
