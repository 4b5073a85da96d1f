"""The leaderboard's tables: what a cell, a column, a row and a table hold."""

from dataclasses import dataclass, field
from typing import Any, Literal

from bench.filenames import method_folder
from bench.leaderboard.significance import Answers
from bench.records.record import Cost, Identity, Status, TaskName

Group = Literal["methods", "changed settings", "elsewhere", "floor and ceiling"]
GROUPS: tuple[Group, ...] = ("methods", "changed settings", "elsewhere", "floor and ceiling")
"""Only the first is ranked; in the order of the table."""


@dataclass(frozen=True)
class Score:
    """What a row scores in a column: percent for an accuracy, else the figure itself.

    Attributes:
        mean: Over seeds and draws.
        std: Deviation over seeds (n - 1), from two seeds on.
        draw_std: Deviation over draws (n - 1), from two draws on.
        interval: 95 % over images, draws and seeds; None for a label-free figure.
        tied_with_best: Whether it does not differ from the best of the column; None where that is not asked.
        metrics: Means of the other metrics: ``top5``, ``mean_class`` in percent, ``nll`` in nats.
        seeds: How many seeds it is the mean of.
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
    """A method with its settings: all its seeds.

    Attributes:
        method: The method's id.
        settings: What was changed from the defaults.
        group: Where it stands in the table.
        seeds: The seeds, in order.
        status: The worst of its seeds.
        cause: Why, where it is not ``ok``.
        rank: The mean rank, or None.
        scores: By column; a column without a value is missing.
        answers: The kept bits behind the scores.
        cost: Mean times and speeds over seeds, the highest peak of memory.
        device: Where it ran; several joined by `` + ``.
        precision: In which precision it was trained, likewise; None where it was not trained.
        marked: Whether it ran on another device, or in another precision, than most of its table.
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
        """The method, with what was changed."""
        return method_folder(self.method, self.settings)


@dataclass(frozen=True)
class Column:
    """A column of scores.

    Attributes:
        id: The protocol's.
        percent: Whether it is an accuracy.
        higher_is_better: None for a figure without direction.
        same_as: The column that got the very same label sets and stands for this one, or None.
    """

    id: str
    percent: bool = True
    higher_is_better: bool | None = True
    same_as: str | None = None


@dataclass(frozen=True)
class Table:
    """One data set, backbone and budget.

    Attributes:
        classes: Number of classes, hence chance; None where no record tells.
        images: Number of test images; None likewise.
        notes: What a reader must know of this table, a sentence each.
        beside: Backbones that have a table of their own on the same images, task and budget.
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
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stale:
    """A record, or one measurement of it, that is not of the current versions and left the table."""

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
    """All tables, and what left them."""

    tables: tuple[Table, ...]
    stale: tuple[Stale, ...] = ()
