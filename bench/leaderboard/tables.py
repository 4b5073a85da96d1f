"""The types of a leaderboard: score, row, column, table."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bench.filenames import method_folder
from bench.leaderboard.significance import Answers
from bench.records.record import Cost, Identity, Status, TaskName

Group = Literal["methods", "changed settings", "elsewhere", "floor and ceiling"]
GROUPS: tuple[Group, ...] = ("methods", "changed settings", "elsewhere", "floor and ceiling")
"""In the order of the table; only the first group is ranked."""


@dataclass(frozen=True)
class Score:
    """The score of a row in a column: percent for an accuracy, otherwise the value itself.

    Attributes:
        mean: Mean over seeds and draws.
        std: Standard deviation over seeds (n - 1); None for a single seed.
        draw_std: Standard deviation over draws (n - 1); None for a single draw.
        interval: 95 % interval over images, draws and seeds; None for a label-free metric.
        tied_with_best: Whether it does not differ from the best score of the column; None if it was not compared.
        metrics: Means of the other metrics: ``top5`` and ``mean_class`` in percent, ``nll`` in nats.
        seeds: Number of seeds in the mean.
    """

    mean: float
    std: float | None = None
    draw_std: float | None = None
    interval: tuple[float, float] | None = None
    tied_with_best: bool | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seeds: int = 1


@dataclass(frozen=True)
class Row:
    """All seeds of one method with the same settings.

    Attributes:
        method: The method's id.
        settings: What was changed from the defaults.
        group: The part of the table that shows the row.
        seeds: The seeds, in order.
        status: The worst status of its seeds.
        cause: Why the status is not ``ok``; None if it is.
        rank: The mean rank, or None.
        scores: Scores by column id; a column without a value is missing.
        answers: The stored answers (right or wrong per image) behind the scores, by column id.
        cost: Mean times and speeds over seeds, the highest peak of memory.
        device: Device of the runs; several are joined by `` + ``.
        precision: Precision of pretraining, several joined by `` + ``; None if nothing was trained.
        marked: Whether it ran on another device, or in another precision, than most rows of its table.
    """

    method: str
    settings: dict[str, Any]
    group: Group
    seeds: tuple[int, ...]
    status: Status
    cause: str | None
    rank: float | None
    scores: dict[str, Score]
    answers: dict[str, Answers] = field(repr=False, compare=False)
    cost: Cost
    device: str
    precision: str | None
    marked: bool = False

    @property
    def label(self) -> str:
        """The method, with its changed settings."""
        return method_folder(self.method, self.settings)


@dataclass(frozen=True)
class Column:
    """A column of scores.

    Attributes:
        id: The protocol's id.
        percent: Whether it is an accuracy.
        higher_is_better: None for a metric without direction.
        same_as: The column that uses the very same label sets and shows the scores of both, or None.
    """

    id: str
    percent: bool = True
    higher_is_better: bool | None = True
    same_as: str | None = None


@dataclass(frozen=True)
class Table:
    """The rows of one data set, backbone and budget.

    Attributes:
        classes: Number of classes; None if no record has it.
        images: Number of test images; None if no record has it.
        notes: One sentence per fact that a reader must know about this table.
        other_backbones: Backbones that have a table of the same images, task and budget.
    """

    dataset: str
    fingerprint: str
    backbone: str
    budget: str
    task: TaskName
    classes: int | None
    images: int | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    other_backbones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stale:
    """A record, or one measurement of it, that is left out because its versions are not the current ones."""

    identity: Identity
    reason: str
    protocol: str | None = None

    def __str__(self) -> str:
        name = method_folder(self.identity.method, self.identity.settings)
        run = (
            f"{self.identity.dataset}/{self.identity.backbone}/{self.identity.budget}/{name}/seed-{self.identity.seed}"
        )
        return f"{run}: {self.reason}"


@dataclass(frozen=True)
class Leaderboard:
    """All tables, and the stale records that they leave out."""

    tables: tuple[Table, ...]
    stale: tuple[Stale, ...] = ()
