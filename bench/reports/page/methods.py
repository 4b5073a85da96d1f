"""The methods of a page's tables as HTML, each described once."""

from collections.abc import Sequence

from bench.reports.page.markup import Html, tag, with_code
from bench.reports.page.model import About, TableView

ID = "methods"
"""Id of the section."""


def described(tables: Sequence[TableView]) -> list[About]:
    """Return what the methods of the tables say about themselves, in alphabetical order."""
    found = {row.about.method: row.about for view in tables for row in view.rows if row.about}
    return [found[name] for name in sorted(found)]


def section(methods: Sequence[About]) -> Html:
    """Return the section with the text of each method, to which the rows in full refer."""
    heading = tag("h2", "Methods", id=f"{ID}-title")
    return tag("section", heading, *map(_method, methods), id=ID, class_="view methods", aria_labelledby=f"{ID}-title")


def _method(about: About) -> Html:
    parts = [tag("h3", about.method), tag("p", f"{about.title}; {about.family}")]
    if about.paper.startswith("https://"):
        parts.append(tag("p", "Paper: ", tag("a", about.paper, href=about.paper)))
    return tag("article", *parts, *(tag("p", with_code(paragraph)) for paragraph in about.paragraphs), id=about.id)
