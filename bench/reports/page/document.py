"""The page as one HTML document: head, navigation, sections, style and script."""

from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby

from bench.reports import numbers
from bench.reports.page import comparison, methods, study, table
from bench.reports.page.markup import Html, anchor, data, tag
from bench.reports.page.model import Page, TableView
from bench.reports.page.pictures import figures

ACROSS = "pictures-of-all-tables"
"""Id of the section with the pictures that belong to no single table."""
EMPTY = "No table: all records are outdated."
Entry = tuple[str, str, str]
"""Group, name and id of an entry of the navigation."""


def to_html(page: Page) -> str:
    """Return the document."""
    title = f"sslbench: {page.folder}"
    taken = {view.id for view in page.tables} | {view.id for view in page.comparisons} | {ACROSS, methods.ID}
    studies = [(one, anchor(f"study-{one.name}", taken)) for one in page.studies]
    described = methods.described(page.tables)
    entries = [*_entries(page), *((one.group, one.name, id) for one, id in studies)]
    entries += [("Methods", "ideas and recipes", methods.ID)] if described else []
    sections = [table.section(view) for view in page.tables]
    if page.pictures:
        heading = tag("h2", "Pictures of all tables", id=f"{ACROSS}-title")
        shown = figures(page.pictures, ACROSS)
        sections.append(tag("section", heading, shown, id=ACROSS, class_="view", aria_labelledby=f"{ACROSS}-title"))
    sections += [comparison.section(view) for view in page.comparisons]
    sections += [study.section(one, id) for one, id in studies]
    sections += [methods.section(described)] if described else []
    body = tag(
        "body",
        tag("a", "Skip to the tables", href="#content", class_="skip"),
        _header(page),
        tag("div", _navigation(entries), tag("main", *(sections or [tag("p", EMPTY)]), id="content"), class_="sheet"),
        _footer(page),
        *_scripts(page),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        # The icon is empty, so that no browser asks for one.
        Html('<link rel="icon" href="data:,">'),
        tag("title", title),
        tag("style", _own("page.css")),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en', data_default=_default(page))}\n"


def _entries(page: Page) -> Iterator[Entry]:
    for view in page.tables:
        name = numbers.title(view.table)
        if view.table.measured_on:
            yield "Transfer", name, view.id
            continue
        yield view.table.dataset, name.removeprefix(f"{view.table.dataset}, "), view.id
    if page.pictures:
        yield "All tables", "pictures", ACROSS
    for compared in page.comparisons:
        yield "Comparison", f"with {compared.names[1]}", compared.id


def _default(page: Page) -> str | None:
    """Return the id of the table that is shown first: the one with the most ranked rows, then with the most seeds."""

    def size(view: TableView) -> tuple[int, int]:
        ranked = [row.row for row in view.rows if row.row.rank is not None]
        return len(ranked), sum(len(row.seeds) for row in ranked)

    return max(page.tables, key=size).id if page.tables else None


def _header(page: Page) -> Html:
    facts = [f"{page.runs:,} runs", f"{len(page.tables)} tables"]
    if page.finished:
        facts.append(f"last run finished {page.finished[:10]}")
    parts = [
        tag("h1", "Self-supervised methods, compared"),
        tag("p", f"{page.folder}: {', '.join(facts)}.", class_="facts"),
    ]
    parts += [tag("p", notice, class_="warning") for notice in page.notices]
    return tag("header", *parts)


def _navigation(entries: list[Entry]) -> Html:
    groups = [
        tag("div", tag("h2", group), tag("ul", *(tag("li", tag("a", name, href=f"#{id}")) for _, name, id in found)))
        for group, found in groupby(entries, key=lambda entry: entry[0])
    ]
    return tag("nav", tag("details", tag("summary", "Contents"), *groups, open=True), aria_label="Contents")


def _footer(page: Page) -> Html:
    return tag(
        "footer",
        tag(
            "p",
            f"Written by sslbench {page.version} from the records of {page.folder}. This file needs no network and no other file.",
        ),
    )


def _scripts(page: Page) -> Iterator[Html]:
    if page.script is not None:
        yield data(dict(page.charts), id="charts")
        # Unpacked and run only when the first picture is drawn.
        yield data(page.script, id="drawing")
    yield tag("script", _own("page.js"))


def _own(name: str) -> Html:
    """Return a file of this package."""
    return Html(files(__package__).joinpath(name).read_text(encoding="utf-8"))
