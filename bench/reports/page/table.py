"""A leaderboard table as HTML, with the tools that the page's script serves."""

from collections.abc import Iterator

from bench.leaderboard.tables import GROUPS, Column, Group, Row, Score, Table
from bench.records.record import Cost
from bench.reports import numbers
from bench.reports.page.markup import Html, data, tag
from bench.reports.page.model import OpenedRow, TableView
from bench.reports.page.opened import SHARED, full_row, listed
from bench.reports.page.pictures import figures

HEADINGS: dict[Group, str] = {
    "methods": "Methods, ranked",
    "changed settings": "Changed settings, not ranked",
    "elsewhere": "Pretrained elsewhere, not ranked",
    "floor and ceiling": "Floor and ceiling, not ranked",
}
UNDER = {"gap": "gap to the best", "ci": "95 % interval", "none": "nothing"}
"""What can be shown under each score."""
SUFFIXES = {"csv": "csv", "json": "json", "latex": "tex", "markdown": "md"}
NAMES = {"csv": "CSV", "json": "JSON", "latex": "LaTeX", "markdown": "Markdown"}
FIRST_COSTS = ("pretrain_s", "parameters")
"""The costs that are shown at first."""
COULD_BE_BEST = "Highlighted: the method could be the best of the column (95 %)."
GAP = "Under a score: how far it is below the best of the column, in points, with the 95 % interval."


def section(view: TableView) -> Html:
    """Return the section of a table: tools, table, legend, pictures, rows in full."""
    table = view.table
    title = numbers.title(table)
    heading = f"{view.id}-title"
    return tag(
        "section",
        tag("h2", title, id=heading),
        tag("p", numbers.explanations(table)[0], class_="lead"),
        _tools(view),
        tag(
            "div",
            _table(view),
            class_="scroll",
            tabindex="0",
            role="region",
            aria_label=f"Table of {title}",
        ),
        tag("ul", *(tag("li", sentence) for sentence in _legend(table)), class_="legend"),
        figures(view.pictures, view.id),
        tag(
            "details",
            tag("summary", "Every row in full"),
            *_shared(view),
            *(full_row(row, view) for row in view.rows),
            class_="in-full",
        ),
        data(dict(view.downloads), class_="texts"),
        id=view.id,
        class_="view",
        aria_labelledby=heading,
    )


def _shared(view: TableView) -> Iterator[Html]:
    if view.shared:
        yield tag("div", tag("h3", SHARED), *map(listed, view.shared.values()), id=view.shared_id, class_="same")


def _legend(table: Table) -> list[str]:
    """Return the sentences below the table, with those on what only the page shows."""
    scores = [found for row in table.rows for found in row.scores.values()]
    hidden = (numbers.BEST, numbers.ONE_SEED)
    sentences = [sentence for sentence in numbers.explanations(table)[1:] if not sentence.startswith(hidden)]
    if any(found.could_be_best for found in scores):
        sentences.insert(0, COULD_BE_BEST)
    if any(found.gap for found in scores):
        sentences.insert(0, GAP)
    others = [f"Same images, another backbone: {', '.join(table.other_backbones)}."] if table.other_backbones else []
    return [*sentences, *numbers.facts(table), *others]


def _tools(view: TableView) -> Html:
    """Return search, filters, choice of columns and downloads; hidden without JavaScript."""
    table = view.table
    groups = [group for group in GROUPS if any(row.group == group for row in table.rows)]
    families = sorted({row.about.family for row in view.rows if row.about})
    parts = [
        tag(
            "label",
            "Search ",
            tag("input", type="search", name="find", autocomplete="off", placeholder="method, setting …"),
        ),
    ]
    if len(families) > 1:
        options = [tag("option", "all", value=""), *(tag("option", family, value=family) for family in families)]
        parts.append(tag("label", "Family ", tag("select", *options, name="family")))
    if any(row.scores for row in table.rows):
        under = [tag("option", text, value=value) for value, text in UNDER.items()]
        parts.append(tag("label", "Under scores ", tag("select", *under, name="under")))
    if len(groups) > 1:
        boxes = (_box("group", group, HEADINGS[group].partition(",")[0], True) for group in groups)
        parts.append(tag("details", tag("summary", "Rows"), tag("div", *boxes), class_="menu"))
    # The script fills it from the headings.
    parts.append(tag("details", tag("summary", "Columns"), tag("div", class_="columns"), class_="menu"))
    buttons = (
        tag("button", NAMES[name], type="button", data_format=name, data_file=f"{view.id}.{SUFFIXES[name]}")
        for name in view.downloads
    )
    parts.append(tag("details", tag("summary", "Download"), tag("div", *buttons), class_="menu"))
    parts.append(tag("button", "Reset", type="button", name="initial"))
    parts.append(tag("output", "", aria_live="polite"))
    return tag("form", *parts, class_="tools", hidden=True, aria_label=f"Tools for the table of {numbers.title(table)}")


def _box(name: str, value: str, text: str, checked: bool) -> Html:
    return tag("label", tag("input", type="checkbox", name=name, value=value, checked=checked), text)


def _columns(view: TableView) -> Iterator[tuple[str, str, bool]]:
    """Yield key, first direction of sorting and whether it is shown at first, of each column after the method's."""
    yield "rank", "ascending", any(row.rank is not None for row in view.table.rows)
    for column in view.table.columns:
        yield (
            column.id,
            "ascending" if column.higher_is_better is False else "descending",
            column.id in view.first_shown,
        )
    for cost in numbers.COST_COLUMNS:
        yield cost.heading, "descending" if cost.field == "images_per_s" else "ascending", cost.field in FIRST_COSTS
    yield "evaluate s", "ascending", False
    yield "seeds", "descending", False
    yield "device", "ascending", False


def _table(view: TableView) -> Html:
    columns = list(_columns(view))
    headings = [tag("th", "method", scope="col", data_first="ascending")]
    headings += [
        tag("th", key, scope="col", data_first=first, data_key=key, data_shown="yes" if shown else "no")
        for key, first, shown in columns
    ]
    bodies = []
    for group in GROUPS:
        rows = [row for row in view.rows if row.row.group == group]
        if rows:
            name = tag("tr", tag("th", HEADINGS[group], scope="rowgroup", colspan=str(len(headings))), class_="group")
            bodies.append(tag("tbody", name, *(_row(row, view.table) for row in rows), data_group=group))
    return tag(
        "table",
        tag("caption", f"{numbers.title(view.table)}. {numbers.explanations(view.table)[0]}", class_="unseen"),
        tag("thead", tag("tr", *headings)),
        *bodies,
        class_="board sortable",
        data_under="gap",
    )


def _row(opened: OpenedRow, table: Table) -> Html:
    row = opened.row
    about = opened.about
    text = " ".join([row.label, row.status, row.device, *row.notes, *([about.title, about.family] if about else [])])
    cells = [
        tag("th", tag("a", numbers.label(row, table), href=f"#{opened.id}"), scope="row", data_value=row.label),
        _rank(row),
        *(_score(row.scores.get(column.id), column, table) for column in table.columns),
        *(_cost(row.cost, column) for column in numbers.COST_COLUMNS),
        _cost(row.cost, numbers.CostColumn("evaluate_s", "evaluate s")),
        tag("td", str(len(row.seeds)), data_value=str(len(row.seeds))),
        tag("td", row.device, data_value=row.device, class_="text"),
    ]
    return tag(
        "tr",
        *cells,
        data_row=opened.id,
        data_find=text.lower(),
        data_family=about.family if about else None,
        class_=None if row.status == "ok" else "bad",
    )


def _rank(row: Row) -> Html:
    parts: list[str] = [numbers.rank(row)]
    if row.rank_interval is not None:
        low, high = row.rank_interval
        parts.append(tag("small", f"{low:.1f}–{high:.1f}"))
    return tag("td", *parts, data_value=None if row.rank is None else f"{row.rank:.6g}")


def _score(score: Score | None, column: Column, table: Table) -> Html:
    text = numbers.score(score, column, mean_class=" / " if table.unequal else None, interval=False)
    if score is None:
        return tag("td", text, class_="none")
    parts: list[str] = [text + (numbers.NOT_ABOVE if score.above_untrained is False else "")]
    if score.could_be_best:
        parts.append(tag("span", " (could be the best)", class_="unseen"))
    if score.gap is not None:
        gap = f"{score.gap.value:.1f} ({score.gap.interval[0]:.1f}–{score.gap.interval[1]:.1f})"
        parts.append(tag("small", gap if score.gap.value else "best", class_="gap"))
    if score.interval is not None:
        parts.append(tag("small", "–".join(numbers.number(end, column) for end in score.interval), class_="ci"))
    return tag("td", *parts, data_value=f"{score.mean:.6g}", class_="best" if score.could_be_best else None)


def _cost(costs: Cost, column: numbers.CostColumn) -> Html:
    value = getattr(costs, column.field)
    return tag("td", numbers.cost(costs, column), data_value=None if value is None else f"{value:.6g}")
