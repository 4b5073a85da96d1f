"""``Study``: the runs to compare, the published results and the figures to draw. ``load.py`` reads it from a TOML file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Metric = Literal["top1", "top5"]
FigureKind = Literal["reconstructions", "predictions", "pretraining", "classifiers", "snapshots", "epochs"]


@dataclass(frozen=True)
class System:
    """One row of a study's table: a pretraining and the protocol that measures it.

    Attributes:
        id: Name used by comparisons, searches and figures.
        name: Name shown to the reader.
        method: Method name, as ``sslbench run`` takes it.
        protocol: Protocol id.
        backbone: Backbone name; None for the study's.
        budget: Training budget; None for the study's.
        settings: Settings of the method, as ``--set`` takes them.
        share: Share of the images that pretraining sees, in (0, 1]; None for all.
        batch: Images per step; None for the default.
        seeds: Number of seeds; None for the study's.
        snapshots: Epochs between two snapshots of the features; None for no snapshots.
        best_epoch_on_test: Whether a second row shows the run's best epoch, chosen on the test images, for a published table that does this.
        published: Published scores by metric, in percent; with ``best_epoch_on_test`` they stand in that second row.
        note: Remark for the reader of the row.
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
    best_epoch_on_test: bool = False
    published: Mapping[str, float] = field(default_factory=dict)
    note: str | None = None


@dataclass(frozen=True)
class PublishedScore:
    """A published score that is shown for comparison and that no run of the study repeats.

    Attributes:
        name: What was measured, with the source.
        top1: Top-1 in percent.
        top5: Top-5 in percent.
        systems: Ids of the systems that are compared with it; if there are none, the best row of the table is.
    """

    name: str
    top1: float | None = None
    top5: float | None = None
    systems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A comparison of two systems, with the published finding if there is one.

    Attributes:
        first: Id of the first system.
        second: Id of the second system.
        metric: Metric of the comparison.
        finding: Published claim that the first system is better, in words; None if nothing was claimed.
        published: Published difference, first minus second, in points; None if it is not known.
    """

    first: str
    second: str
    metric: Metric = "top1"
    finding: str | None = None
    published: float | None = None


@dataclass(frozen=True)
class SearchedSystem:
    """One system whose hyper-parameters are searched.

    Attributes:
        system: The system's id.
        protocol: Id of the protocol whose constants are varied.
        constants: For each axis of the grid, the protocol's constants that are set to its value.
    """

    system: str
    protocol: str
    constants: Mapping[str, list[str]]


@dataclass(frozen=True)
class Search:
    """A grid search on the development task, the same for several systems.

    Attributes:
        grid: For each axis its values; every combination is tried.
        systems: The systems that are searched.
    """

    grid: Mapping[str, list[Any]]
    systems: tuple[SearchedSystem, ...]


@dataclass(frozen=True)
class Figure:
    """A figure to draw.

    Attributes:
        kind: What is drawn.
        systems: Ids of the systems that are drawn.
        title: Title of the figure.
    """

    kind: FigureKind
    systems: tuple[str, ...]
    title: str


@dataclass(frozen=True)
class Fallback:
    """A data set that is used if the files of the study's data set are missing.

    Attributes:
        dataset: As ``--dataset`` takes it; the path of a ``folder:`` is also searched under ``--data-root``.
        reason: Explanation for the reader.
        protocols: Protocols that are replaced because there are fewer images: old id to new id.
    """

    dataset: str
    reason: str
    protocols: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A published comparison, repeated.

    Attributes:
        name: Name of the file, without its suffix.
        title: Title in one line.
        source: Paper or link; empty if none is known.
        published: What was published, in sentences.
        differs: Differences from the published setup, one per line.
        dataset: As ``--dataset`` takes it.
        backbone: Backbone of the systems that do not name one.
        budget: Training budget of the systems that do not name one.
        seeds: Number of seeds of the systems that do not name one.
        systems: The rows of the table.
        other_published: Published scores without a row; ``[[beside]]`` in the file.
        comparisons: The comparisons that the conclusion is about.
        search: Search over hyper-parameters, or None.
        figures: The figures to draw.
        fallback: Data set to use if the files of ``dataset`` are missing, or None.
        awaits: What is missing for a complete measurement by sslbench; None if its results are in ``results/reference/studies``.
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
    other_published: tuple[PublishedScore, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    search: Search | None = None
    figures: tuple[Figure, ...] = ()
    fallback: Fallback | None = None
    awaits: str | None = None

    def system(self, id: str) -> System:
        """Return the system with this id; it must exist."""
        return next(system for system in self.systems if system.id == id)
