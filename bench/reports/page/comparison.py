"""The comparison of two results folders as HTML."""

from collections import Counter

from bench.leaderboard.compare import PairedRow
from bench.leaderboard.tables import Column
from bench.reports import numbers
from bench.reports.page.markup import Html, joined, tag
from bench.reports.page.model import ComparisonView

VERDICTS = {True: "yes", False: "no", None: "untested"}


def section(view: ComparisonView) -> Html:
    """Return the section of a comparison: a sentence, one table per shared table, and what only one folder has."""
    names, comparison = view.names, view.comparison
    heading = f"{view.id}-title"
    tables = dict.fromkeys(row.table for row in comparison.rows)
    parts = [
        tag("h2", f"{names[0]} and {names[1]}, compared", id=heading),
        tag("p", f"{comparison.summary[:1].upper()}{comparison.summary[1:]}.", class_="lead"),
        *(_table(view, table) for table in tables),
    ]
    pairs = [pair for row in comparison.rows for pair in row.pairs.values()]
    if any(pair.interval for pair in pairs):
        parts.append(tag("p", numbers.DIFFERENCE))
    if any(pair.differs for pair in pairs):
        parts.append(tag("p", "≠: differs by more than noise (5 % level, Holm-corrected over all compared scores)."))
    if any(row.differs is None for row in comparison.rows):
        parts.append(tag("p", "Untested: no score of the row can be compared; the remarks below its table say why."))
    for name, keys in zip(names, (comparison.only_first, comparison.only_second), strict=True):
        if keys:
            counts = Counter(table for table, _ in keys)
            labels = {table: ", ".join(label for found, label in keys if found == table) for table in counts}
            rows = (tag("li", f"{table}: {labels[table]}") for table in counts)
            parts.append(tag("details", tag("summary", f"Only in {name}: {len(keys)} rows"), tag("ul", *rows)))
    return tag("section", *parts, id=view.id, class_="view", aria_labelledby=heading)


def _table(view: ComparisonView, title: str) -> Html:
    rows = [row for row in view.comparison.rows if row.table == title]
    columns = list({name: pair.column for row in rows for name, pair in row.pairs.items()}.values())
    headings = [tag("th", name, scope="col", data_first="ascending") for name in ("method", "differs")]
    headings += [tag("th", column.id, scope="col", data_first="descending") for column in columns]
    table = tag(
        "table",
        tag("caption", f"{title}: {view.names[0]} | {view.names[1]}", class_="unseen"),
        tag("thead", tag("tr", *headings)),
        tag("tbody", *(_row(row, columns) for row in rows)),
        class_="board sortable",
    )
    remarks: dict[str, list[str]] = {}
    for row in rows:
        for note in dict.fromkeys(row.notes):
            remarks.setdefault(note, []).append(row.label)
    lines = (tag("li", f"{note}: {', '.join(labels)}") for note, labels in remarks.items())
    below = tag("details", tag("summary", f"Remarks ({len(remarks)})"), tag("ul", *lines)) if remarks else joined([])
    box = tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"Comparison of {title}")
    return joined([tag("h3", title), box, below])


def _row(row: PairedRow, columns: list[Column]) -> Html:
    verdict = VERDICTS[row.differs]
    if row.statuses[0] != row.statuses[1]:
        verdict = " | ".join(row.statuses)
    name = tag("th", row.label, scope="row", data_value=row.label)
    differs = tag("td", verdict, data_value=verdict, class_="text differs" if row.differs else "text")
    return tag("tr", name, differs, *(_cell(row, column) for column in columns))


def _cell(row: PairedRow, column: Column) -> Html:
    pair = row.pairs.get(column.id)
    if pair is None:
        return tag("td", numbers.NONE, class_="none")
    values = [numbers.NONE if v is None else numbers.number(v, column) for v in (pair.first, pair.second)]
    known = [value for value in (pair.second, pair.first) if value is not None]
    difference = numbers.difference(pair)
    return tag(
        "td",
        " | ".join(values) + (" ≠" if pair.differs else ""),
        *([] if difference is None else [tag("small", difference)]),
        data_value=f"{known[0]:.6g}" if known else None,
        class_="differs" if pair.differs else None,
    )
