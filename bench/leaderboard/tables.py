"""The types of a leaderboard: score, row, column, table."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from bench.filenames import method_folder
from bench.leaderboard.significance import Answers
from bench.records.record import Cost, Identity, Measurement, Record, Status, TaskName

Group = Literal["methods", "changed settings", "elsewhere", "floor and ceiling"]
GROUPS: tuple[Group, ...] = ("methods", "changed settings", "elsewhere", "floor and ceiling")
"""In the order of the table; only the first group is ranked."""
UNTRAINED = "random_init"
"""The row that every other row of a table is compared with: the network before training."""
DIGITS = 8
"""Hex digits of a plugin's content that are shown."""
NOISE = 6
"""Decimals to which scores without stored answers are rounded before they are compared."""


@dataclass(frozen=True)
class Gap:
    """How far a score is below the best of its column.

    Attributes:
        value: The best score minus this one, in percentage points; 0 for the best itself.
        interval: Its 95 % interval, in percentage points.
    """

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Score:
    """The score of a row in a column: percent for an accuracy, otherwise the value itself.

    Attributes:
        mean: Mean over seeds and draws.
        std: Standard deviation over seeds (n - 1); None for a single seed.
        draw_std: Standard deviation over draws (n - 1); None for a single draw.
        interval: 95 % interval over images, draws and seeds; None for a label-free metric.
        could_be_best: Whether its method could be the best of the column (95 %); None if it was not compared.
        gap: How far it is below the best score of the column; None if it was not compared.
        above_untrained: Whether it is higher than the score of ``random_init`` in the column; None if it was not compared.
        surely_above_untrained: Whether it is higher by more than noise; None if it was not tested.
        metrics: Means of the other metrics: ``top5`` and ``mean_class`` in percent, ``nll`` in nats.
        seeds: Number of seeds in the mean.
        deterministic: Whether every seed gives the same score by construction; then there is no deviation over seeds.
    """

    mean: float
    std: float | None = None
    draw_std: float | None = None
    interval: tuple[float, float] | None = None
    could_be_best: bool | None = None
    gap: Gap | None = None
    above_untrained: bool | None = None
    surely_above_untrained: bool | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    seeds: int = 1
    deterministic: bool = False


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
        rank_interval: The 95 % interval of the rank; None if it was not computed.
        scores: Scores by column id; a column without a value is missing.
        answers: The stored answers (right or wrong per image) behind the scores, by column id.
        cost: Mean times and speeds over seeds, the highest peak of memory.
        device: Device of the runs; several are joined by `` + ``.
        precision: Precision of pretraining, several joined by `` + ``; None if nothing was trained.
        marked: Whether it ran on another device, or in another precision, than most rows of its table.
        plugin: Hash of the content of the plugin that defines the method; None for a method of sslbench.
        notes: What a reader must know about the row, one line each.
        tuned: Number of trials of the search that found its settings; None in a table of shipped recipes.
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
    plugin: str | None = None
    notes: tuple[str, ...] = ()
    rank_interval: tuple[float, float] | None = None
    tuned: int | None = None

    @property
    def name(self) -> str:
        """The label as shown: a tuned row has its settings in its notes."""
        return self.label if self.tuned is None else row_name(self.method, {}, self.plugin)

    @property
    def label(self) -> str:
        """The method, with its changed settings, and the first digits of its plugin's content."""
        return row_name(self.method, self.settings, self.plugin)

    def exact(self, column: str) -> tuple[Fraction | None, float]:
        """Return a score for comparisons without float noise: the share of right answers if they are stored, and the rounded mean."""
        answers = self.answers.get(column)
        share = None if answers is None else Fraction(answers.right, answers.total)
        return share, round(self.scores[column].mean, NOISE)

    @property
    def deterministic(self) -> bool:
        """Whether every seed has the same encoder, so that all scores are the same except where a protocol draws numbers."""
        return any(score.deterministic for score in self.scores.values())

    @property
    def nothing_above_untrained(self) -> bool:
        """Whether the row was tested against ``random_init`` and is above it by more than noise in no column."""
        tested = [s.surely_above_untrained for s in self.scores.values() if s.surely_above_untrained is not None]
        return bool(tested) and not any(tested)


def row_name(method: str, settings: dict[str, Any], plugin: str | None) -> str:
    """Return what tells a row from the others of its table."""
    return method_folder(method, settings) + (f"@{plugin[:DIGITS]}" if plugin else "")


@dataclass(frozen=True)
class Column:
    """A column of scores.

    Attributes:
        id: The protocol's id, followed by the content of its plugin if the table has scores of several contents.
        percent: Whether it is an accuracy.
        higher_is_better: None for a metric without direction.
        same_as: The column that uses the very same label sets and shows the scores of both, or None.
        protocol: The protocol's id.
        plugin: Hash of the content of the plugin that defines the protocol; None for a protocol of sslbench.
        measure: Name of the measure that it shows; None for ``top1`` or, if it is no accuracy, for the protocol's id.
        fixed_conditions: Whether several answers to an image belong to fixed conditions, not to draws.
        fingerprint: Hash of the data set that was measured on if it is not that of pretraining; else None.
    """

    id: str
    percent: bool = True
    higher_is_better: bool | None = True
    same_as: str | None = None
    protocol: str = ""
    plugin: str | None = None
    measure: str | None = None
    fixed_conditions: bool = False
    fingerprint: str | None = None

    @property
    def metric(self) -> str:
        """Name of the measure in a record."""
        return "top1" if self.percent else self.measure or self.protocol or self.id

    def of(self, record: Record) -> Measurement | None:
        """Return the record's measurement for this column, or None."""
        found = record.protocols.get(self.protocol or self.id)
        if found is None:
            return None
        fingerprint = None if found.transfer is None else found.transfer.fingerprint
        return found if (found.plugin, fingerprint) == (self.plugin, self.fingerprint) else None


@dataclass(frozen=True)
class Table:
    """The rows of one data set, backbone and budget, or of encoders of one data set that were measured on another one.

    Attributes:
        dataset: The data set of pretraining.
        classes: Number of classes; None if no record has it.
        images: Number of test images; None if no record has it.
        notes: One sentence per fact that a reader must know about this table.
        other_backbones: Backbones that have a table of the same images, task and budget.
        largest_class: Share of the largest class among the test images, in [0, 1]; None if no record has it.
        measured_on: The data set that was measured on if it is not that of pretraining; else None.
        measured_on_fingerprint: Its fingerprint.
        tuned: Number of trials of each row's search (``sslbench tune``); None for a table of shipped recipes.
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
    largest_class: float | None = None
    measured_on: str | None = None
    measured_on_fingerprint: str | None = None
    tuned: int | None = None

    @property
    def unequal(self) -> bool:
        """Whether the classes are so unequal that top-1 must be read with the mean class accuracy.

        That is so if the share of the largest class is above its equal share, 1/classes, by a fifth of it and by one percentage point.
        """
        if self.largest_class is None or not self.classes or self.classes < 1:
            return False
        return self.largest_class > max(1.2 / self.classes, 1 / self.classes + 0.01)


@dataclass(frozen=True)
class Stale:
    """A record, or one measurement of it, that is left out because its versions are not the current ones."""

    identity: Identity
    reason: str
    protocol: str | None = None

    def __str__(self) -> str:
        name = row_name(self.identity.method, self.identity.settings, self.identity.plugin)
        run = (
            f"{self.identity.dataset}/{self.identity.backbone}/{self.identity.budget}/{name}/seed-{self.identity.seed}"
        )
        return f"{run}: {self.reason}"


@dataclass(frozen=True)
class Leaderboard:
    """All tables, the stale records that they leave out, and the tables of encoders that were measured on another data set."""

    tables: tuple[Table, ...]
    stale: tuple[Stale, ...] = ()
    transfers: tuple[Table, ...] = ()

    @property
    def every_table(self) -> tuple[Table, ...]:
        """The tables, then those of transfers."""
        return self.tables + self.transfers
