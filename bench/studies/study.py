"""What a study is: the runs to compare, what was published, what to draw; read from a file by ``reading.py``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Metric = Literal["top1", "top5"]
FigureKind = Literal["reconstructions", "predictions", "pretraining", "classifiers", "snapshots"]


@dataclass(frozen=True)
class System:
    """One row of a study's table: a pretraining, and the protocol that measures it.

    Attributes:
        id: How comparisons and figures name it.
        name: How a reader sees it.
        method: As ``sslbench run`` takes it.
        protocol: The protocol's id.
        backbone: The backbone; the study's own unless named.
        budget: The study's own unless named.
        settings: What ``--set`` would change.
        share: Of the images pretrained on; all unless named.
        batch: Images a step; the default unless named.
        seeds: How many; the study's own number unless named.
        snapshots: Epochs between two stored sets of features; none are stored unless named.
        published: Published figures by metric, in percent.
        note: What a reader of the row must know.
    """

    id: str
    name: str
    method: str
    protocol: str
    backbone: str | None = None
    budget: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    share: float | None = None
    batch: int | None = None
    seeds: int | None = None
    snapshots: int | None = None
    published: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class Published:
    """A published figure that stands beside the table without a run of ours.

    Attributes:
        name: What it is of, with its source.
        top1: In percent.
        top5: In percent.
    """

    name: str
    top1: float | None = None
    top5: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One system against another, perhaps because a published finding says that the first is better.

    Attributes:
        first: Id of one system.
        second: Id of the other.
        metric: Of the comparison.
        finding: What was published, in words; None where nothing was.
        published: First less second as published, in points; None where no figure is known.
    """

    first: str
    second: str
    metric: Metric = "top1"
    finding: str | None = None
    published: float | None = None


@dataclass(frozen=True)
class Searched:
    """One system that is searched.

    Attributes:
        system: Its id.
        protocol: What is varied; itself of a form that has all constants of the grid.
        constants: Axis of the grid to the constants of the protocol that take its value.
    """

    system: str
    protocol: str
    constants: Mapping[str, list[str]]


@dataclass(frozen=True)
class Search:
    """The same search for several systems, on the development task: each axis a list of values, every combination is tried.

    Attributes:
        grid: Axis to its values.
        systems: What is searched.
    """

    grid: Mapping[str, list[Any]]
    systems: tuple[Searched, ...]


@dataclass(frozen=True)
class Figure:
    """A picture.

    Attributes:
        kind: What is drawn.
        systems: Of which systems.
        title: Above it.
    """

    kind: FigureKind
    systems: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Fallback:
    """What takes the data set's place where its files are missing.

    Attributes:
        dataset: As ``--dataset`` takes it; a file of a ``folder:`` is also looked for under ``--data-root``.
        reason: What a reader must know of it.
        protocols: Protocol to the one that takes its place, where the data are fewer.
    """

    dataset: str
    reason: str
    protocols: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A published comparison, repeated.

    Attributes:
        name: The file's name.
        title: One line.
        source: Paper or link; empty where none is known.
        published: What was published, in sentences.
        differs: What is done otherwise here, a line each.
        dataset: As ``--dataset`` takes it.
        backbone: Of all systems that name none.
        budget: Unless ``--budget`` says another.
        seeds: Unless ``--seeds`` says another number.
        systems: The rows.
        beside: Published figures without a row.
        comparisons: For the conclusion.
        search: Over hyper-parameters, or None.
        figures: What is drawn.
        fallback: Another data set, or None.
    """

    name: str
    title: str
    source: str
    published: str
    differs: tuple[str, ...]
    dataset: str
    backbone: str
    budget: str
    seeds: int
    systems: tuple[System, ...]
    beside: tuple[Published, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    search: Search | None = None
    figures: tuple[Figure, ...] = ()
    fallback: Fallback | None = None

    def system(self, id: str) -> System:
        """Return the system of an id that is known to be there."""
        return next(system for system in self.systems if system.id == id)
