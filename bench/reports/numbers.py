"""The text of a table's numbers, title and legend, the same for the terminal and for files."""

import math
from dataclasses import dataclass, replace

from bench.leaderboard.compare import Pair
from bench.leaderboard.tables import GROUPS, UNTRAINED, Column, Gap, Row, Score, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Cost

NONE = "–"
"""Shown for a missing value."""

BEST, NOT_ABOVE, UNUSUAL = "*", "‡", "†"
"""Marks of a score that could be the best, of one that is not above ``random_init``, and of a row on another device."""
ONE_SEED = "[low, high] after a score"
"""Beginning of the sentence on the intervals that are shown where there is one seed."""
DIFFERENCE = (
    "Below two scores: the first minus the second in points, with the 95 % interval of this difference alone; if both are of one seed, it "
    "does not include the variation between seeds."
)

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


def score(
    found: Score | None,
    column: Column,
    between: str = " ± ",
    mean_class: str | None = None,
    interval: bool = True,
) -> str:
    """Return a score as text, with its standard deviation over seeds if there is one.

    Args:
        found: The score, or None.
        column: Its column.
        between: Sign between mean and standard deviation.
        mean_class: Sign before the mean class accuracy, or None to leave it out.
        interval: Whether a score of one seed has its interval over images.
    """
    if column.same_as:
        return "="
    if found is None:
        return NONE
    text = number(found.mean, column)
    if found.std is not None:
        text += f"{between}{number(found.std, column)}"
    elif interval and _of_one_seed(found):
        text += " " + _brackets(found.interval, column)
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


def _brackets(ends: tuple[float, float] | None, column: Column) -> str:
    return "" if ends is None else f"[{number(ends[0], column)}, {number(ends[1], column)}]"


def _of_one_seed(found: Score) -> bool:
    """Return whether a score says nothing on how much it varies between seeds, but has an interval over images."""
    return found.seeds == 1 and not found.deterministic and found.interval is not None


def gap(found: Gap) -> str:
    """Return a gap to the best with its interval as text, in percentage points."""
    return f"{found.value:.1f} [{found.interval[0]:.1f}, {found.interval[1]:.1f}]"


def difference(pair: Pair) -> str | None:
    """Return the difference of two scores with its interval as text, in percentage points; None if they were not compared."""
    if pair.difference is None or pair.interval is None:
        return None
    value, low, high = (f"{round(value, 1) + 0.0:+.1f}" for value in (pair.difference, *pair.interval))
    return f"{value} [{low}, {high}]"


def rank(row: Row) -> str:
    """Return the mean rank as text; empty if the row has none."""
    return "" if row.rank is None else f"{row.rank:.1f}"


def whole_rank(row: Row) -> str:
    """Return the mean rank as text, with its interval, rounded outwards, if there is one."""
    if row.rank is None or row.rank_interval is None:
        return rank(row)
    low, high = row.rank_interval
    return f"{rank(row)} [{math.floor(low + _NOISE)}, {math.ceil(high - _NOISE)}]"


_NOISE = 1e-9
"""Larger than the rounding errors of a mean of ranks."""


def label(row: Row, table: Table) -> str:
    """Return the name of a row with its marks, the numbers of its notes, whether it is deterministic, and a status other than ``ok``."""
    numbered = note_numbers(table)
    text = row.name + (UNUSUAL if row.marked else "") + (NOT_ABOVE if row.nothing_above_untrained else "")
    text += "".join(f" [{numbered[note]}]" for note in row.notes)
    text += " (deterministic)" if row.deterministic else ""
    return text + ("" if row.status == "ok" else f" ({row.status})")


def note_numbers(table: Table) -> dict[str, int]:
    """Return the number of each note of a row; equal notes share one."""
    return {note: i for i, note in enumerate(dict.fromkeys(n for row in table.rows for n in row.notes), 1)}


def title(table: Table) -> str:
    """Return the title of a table.

    It has the data set of pretraining (→ the data set that was measured on if it is another one), the backbone, the budget, the task,
    and whether its rows are tuned.
    """
    trained = [table.backbone, table.budget]
    if table.budget == NO_BUDGET:
        trained = ([] if table.backbone == OWN_NETWORK else [table.backbone]) + ["pretrained elsewhere"]
    data = f"{table.dataset} → {table.measured_on}" if table.measured_on else table.dataset
    more = ["development task"] if table.task == "val" else []
    more += [] if table.tuned is None else [f"tuned ({table.tuned:,} trials)"]
    return ", ".join([data, *trained, *more])


def tables_of_other_backbones(table: Table) -> list[Table]:
    """Return copies of the table with the other backbones of the same images; only their titles are meaningful."""
    return [replace(table, backbone=backbone) for backbone in table.other_backbones]


def legend(table: Table, gaps: bool = False) -> list[str]:
    """Return the sentences below a table, with or without gaps: its metric, chance and marks, and what is particular to it."""
    return explanations(table, gaps) + facts(table)


def facts(table: Table) -> list[str]:
    """Return the notes of the table and of its rows."""
    return [*table.notes, *(f"[{number}] {_sentence(note)}" for note, number in note_numbers(table).items())]


def _sentence(note: str) -> str:
    return note if note.endswith(".") else note + "."


def explanations(table: Table, gaps: bool = False) -> list[str]:
    """Return one sentence on the metric, and one for each mark that the table contains, with or without gaps."""
    scores = [found for row in table.rows for found in row.scores.values()]
    sentences = [_metric(table)]
    if table.unequal:
        assert table.largest_class is not None and table.classes
        sentences.append(
            f"After /: mean class accuracy, because the classes are unequal: always answering the largest class has "
            f"{100 * table.largest_class:.1f} top-1 and {100 / table.classes:.3g} mean class accuracy."
        )
    directions = {True: "higher is better", False: "lower is better", None: "neither direction is better"}
    others = [f"{c.id} ({directions[c.higher_is_better]})" for c in table.columns if not c.percent]
    if others:
        sentences.append(f"No accuracy: {', '.join(others)}.")
    if any(map(_of_one_seed, scores)):
        sentences.append(f"{ONE_SEED}: its 95 % interval over test images (and draws of labels), from one seed.")
    if any(found.could_be_best for found in scores):
        sentences.append(f"{BEST}: could be the best of the column (95 %).")
    if gaps and any(found.gap for found in scores):
        sentences.append(
            "Below a score: how far it is below the best of the column, in points, with the 95 % interval."
        )
    if any(f.above_untrained is False for f in scores) or any(row.nothing_above_untrained for row in table.rows):
        sentence = f"{NOT_ABOVE} after a score: not higher than that of {UNTRAINED}, the network before training"
        if any(row.nothing_above_untrained for row in table.rows):
            sentence += "; after a name: in no column higher by more than noise (5 % level, Holm-corrected)"
        sentences.append(sentence + ".")
    if any(row.rank is not None for row in table.rows):
        ends = ", with its 95 % interval" if any(row.rank_interval for row in table.rows) else ""
        sentences.append(f"Rank: mean of the ranks on knn, linear and the low-shot family{ends}.")
    unranked = [group for group in GROUPS[1:] if any(row.group == group for row in table.rows)]
    if unranked:
        what = "Not compared with the best" if table.measured_on else "Not ranked"
        sentences.append(f"{what}: {'; '.join(_NOT_RANKED[group] for group in unranked)}.")
    if any(row.marked for row in table.rows):
        sentences.append(f"{UNUSUAL}: ran on another device or in another precision than most rows.")
    if any(row.deterministic for row in table.rows):
        sentences.append(
            "Deterministic: the encoder is neither drawn nor trained; a score has ± only if its protocol draws numbers."
        )
    if any(column.same_as for column in table.columns):
        sentences.append("=: the same label sets as another column, which shows the result.")
    if any(row.plugin for row in table.rows) or any(column.plugin and "@" in column.id for column in table.columns):
        sentences.append("@: first digits of the hash of the plugin's content.")
    return sentences


def _metric(table: Table) -> str:
    seeds = sorted({len(row.seeds) for row in table.rows if row.scores and not row.deterministic} - {1}) or [0]
    sentence = "Top-1 accuracy in percent"
    measured = "validation" if table.task == "val" else "test"
    sentence += f" on {table.images:,} {measured} images" if table.images else ""
    sentence += f" of {table.measured_on}, by encoders of {table.dataset}" if table.measured_on else ""
    sentence += f", chance {100 / table.classes:.3g}" if table.classes else ""
    if seeds != [0]:
        over = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        sentence += f"; ± standard deviation over {over} seeds"
    return sentence + "."
