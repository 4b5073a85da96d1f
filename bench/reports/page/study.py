"""A study or a search as HTML: table, findings, images."""

from bench.reports.page.markup import Html, joined, tag
from bench.reports.page.model import Image, Section
from bench.reports.page.pictures import figures


def section(study: Section, id: str) -> Html:
    """Return the section of a study."""
    heading = f"{id}-title"
    parts = [tag("h2", study.title, id=heading)]
    parts += [tag("p", paragraph, class_="lead") for paragraph in study.introduction]
    if study.link is not None:
        web = study.link.startswith(("https://", "http://"))
        parts.append(tag("p", "Source: ", tag("a", study.link, href=study.link) if web else study.link))
    parts.append(_table(study))
    parts.append(tag("ul", *(tag("li", sentence) for sentence in study.legend), class_="legend"))
    for title, sentences in (
        ("Conclusion", study.findings),
        (study.notes_title, study.notes),
    ):
        if sentences:
            parts += [tag("h3", title), tag("ul", *(tag("li", sentence) for sentence in sentences), class_="findings")]
    parts += [_figure(image) for image in study.images]
    parts.append(figures(study.pictures, id))
    return tag("section", *parts, id=id, class_="view study", aria_labelledby=heading)


def _table(study: Section) -> Html:
    rows = (tag("tr", tag("th", row[0], scope="row"), *(tag("td", text) for text in row[1:])) for row in study.rows)
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", heading, scope="col") for heading in study.headings))),
        tag("tbody", *rows),
        class_="board",
    )
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"Table of {study.title}")


def _figure(image: Image) -> Html:
    picture = tag(
        "img",
        src=Html(image.source),
        alt=image.title,
        width=str(image.width),
        height=str(image.height),
        decoding="async",
    )
    return tag("figure", joined([picture]), tag("figcaption", image.caption))
