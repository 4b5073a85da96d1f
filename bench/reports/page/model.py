"""The types of the page: what it shows, before it is HTML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.leaderboard.compare import Comparison
from bench.leaderboard.tables import Row, Table
from bench.reports.pictures.picture import Picture

Facts = Mapping[str, str]
"""Names and their values, as text."""


@dataclass(frozen=True)
class About:
    """What a method of sslbench says about itself.

    Attributes:
        method: Its name.
        title: Its name in tables.
        paper: Link to its paper.
        family: Its group in listings.
        paragraphs: The documentation of its file: idea, recipe, deviations from the paper.
    """

    method: str
    title: str
    paper: str
    family: str
    paragraphs: tuple[str, ...]

    @property
    def id(self) -> str:
        """Id of its text in the page; no other id has a colon."""
        return f"method:{self.method}"


@dataclass(frozen=True)
class SeedScores:
    """The scores of one seed.

    Attributes:
        seed: The seed.
        status: How its run ended.
        scores: One text per column of the table.
        pretrain_s: Seconds of pretraining, as text.
    """

    seed: int
    status: str
    scores: tuple[str, ...]
    pretrain_s: str


@dataclass(frozen=True)
class LogExcerpt:
    """The end of a run's log.

    Attributes:
        seed: The run's seed.
        text: Its last lines.
        whole: Whether these are all lines.
    """

    seed: int
    text: str
    whole: bool


@dataclass(frozen=True)
class OpenedRow:
    """A row of a table in full.

    Attributes:
        id: Unique within the page.
        row: The row.
        about: What the method says about itself; None for one that is not of sslbench.
        seeds: The scores of each seed.
        facts: Facts of the runs by subject: run, recipe and settings, cost, environment; those that the table's rows share are left out.
        command: The lines that repeat the runs.
        placeholders: What must be replaced in the command, one sentence each.
        log: The end of a log; None if there is none.
    """

    id: str
    row: Row
    about: About | None
    seeds: tuple[SeedScores, ...]
    facts: Mapping[str, Facts]
    command: str
    placeholders: tuple[str, ...]
    log: LogExcerpt | None


@dataclass(frozen=True)
class TableView:
    """A table with its rows in full.

    Attributes:
        id: Unique within the page.
        table: The table.
        rows: One per row, in the same order.
        shared: Facts by subject that are the same in every row, which the rows do not repeat.
        first_shown: Ids of the columns of scores that are shown at first.
        downloads: The table as text, by format.
        pictures: The pictures of this table.
    """

    id: str
    table: Table
    rows: tuple[OpenedRow, ...]
    shared: Mapping[str, Facts]
    first_shown: frozenset[str]
    downloads: Mapping[str, str]
    pictures: tuple[Picture, ...] = ()

    @property
    def shared_id(self) -> str:
        """Id of the shared facts in the page; no other id has a colon."""
        return f"{self.id}:shared"


@dataclass(frozen=True)
class ComparisonView:
    """Two results folders compared.

    Attributes:
        id: Unique within the page.
        names: Names of the two folders.
        comparison: The comparison.
    """

    id: str
    names: tuple[str, str]
    comparison: Comparison


@dataclass(frozen=True)
class Image:
    """An image of a section.

    Attributes:
        source: The image as a data URI.
        width: Width in pixels.
        height: Height in pixels.
        title: What it shows, a few words.
        caption: What it shows, in sentences.
    """

    source: str
    width: int
    height: int
    title: str
    caption: str


@dataclass(frozen=True)
class Section:
    """A study or a search: a table with findings and images.

    Attributes:
        name: Short name, for the navigation.
        title: Title in one line.
        introduction: Paragraphs before the table.
        headings: Headings of the table.
        rows: Its rows, one text per heading.
        legend: Sentences below the table.
        findings: Sentences of the conclusion.
        notes: Remarks.
        notes_title: Heading of the remarks.
        images: The figures.
        pictures: The plots.
        link: Link to the source, or None.
        group: The part of the navigation that names it.
    """

    name: str
    title: str
    introduction: tuple[str, ...]
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    notes_title: str = "Differences from the published setup, and notes"
    images: tuple[Image, ...] = ()
    pictures: tuple[Picture, ...] = ()
    link: str | None = None
    group: str = "Studies"


@dataclass(frozen=True)
class Page:
    """The whole page.

    Attributes:
        folder: Name of the results folder.
        runs: Number of records.
        finished: When the last run finished; None if no record says so.
        version: Version of sslbench.
        tables: The tables.
        comparisons: Comparisons with other folders.
        studies: The studies.
        pictures: The pictures that belong to no single table.
        charts: The plots of all pictures as Vega specifications, by the picture's id.
        script: The script that draws the pictures; None without pictures.
        notices: What the reader must know about the page as a whole, one line each.
    """

    folder: str
    runs: int
    finished: str | None
    version: str
    tables: tuple[TableView, ...]
    comparisons: tuple[ComparisonView, ...] = ()
    studies: tuple[Section, ...] = ()
    pictures: tuple[Picture, ...] = ()
    charts: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    script: str | None = None
    notices: tuple[str, ...] = field(default=())
