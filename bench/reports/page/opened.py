"""A row in full as HTML: scores of each seed, link to the method, settings, environment, command, log."""

from collections.abc import Iterator

from bench.leaderboard.tables import Column, Score
from bench.reports import numbers
from bench.reports.page.markup import Html, joined, lines, tag
from bench.reports.page.model import About, Facts, OpenedRow, TableView

SHARED = "The same in every row"
METRICS = {"top5": "top-5", "mean_class": "mean class", "nll": "nll"}


def full_row(opened: OpenedRow, view: TableView) -> Html:
    """Return a row in full."""
    row = opened.row
    parts = [tag("h3", row.label)]
    if row.status != "ok":
        parts.append(tag("p", f"{row.status}{f': {row.cause}' if row.cause else ''}", class_="warning"))
    parts += [tag("p", note, class_="note") for note in row.notes]
    parts.append(_scores(opened, view))
    blocks = [_about(opened.about)] if opened.about else []
    blocks.append(_command(opened))
    blocks += [_block(title, listed(facts)) for title, facts in opened.facts.items() if facts]
    if view.shared:
        blocks.append(_block(SHARED, _link(", ".join(view.shared).lower(), view.shared_id)))
    parts.append(tag("div", *blocks, class_="blocks"))
    if opened.log is not None:
        title = f"Log of seed {opened.log.seed}{'' if opened.log.whole else ', its end'}"
        log = tag("pre", lines(opened.log.text), tabindex="0", role="region", aria_label=title)
        parts.append(tag("div", tag("h4", title), log, class_="block"))
    return tag("article", *parts, id=opened.id, class_="full")


def _scores(opened: OpenedRow, view: TableView) -> Html:
    """Return one line per protocol: mean, intervals, deviations, other metrics, and the score of each seed; only seeds have empty columns."""
    row = opened.row
    others = [name for name in METRICS if any(name in score.metrics for score in row.scores.values())]
    headings = [
        "protocol",
        "mean",
        "95 % interval",
        "gap to the best",
        "± seeds",
        "± draws",
        *(METRICS[n] for n in others),
    ]
    headings += [f"seed {seed.seed}{'' if seed.status == 'ok' else f' ({seed.status})'}" for seed in opened.seeds]
    body = [
        [column.id, *_line(opened, number, column, others)]
        for number, column in enumerate(view.table.columns)
        if column.id in row.scores or any(seed.scores[number] != numbers.NONE for seed in opened.seeds)
    ]
    empty = [""] * (len(headings) - 1 - len(opened.seeds))
    body.append(["pretraining, s", *empty, *(seed.pretrain_s for seed in opened.seeds)])
    filled = [at for at in range(len(headings)) if at > len(empty) or {line[at] for line in body} - {"", numbers.NONE}]
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", headings[at]) for at in filled))),
        tag("tbody", *(tag("tr", tag("th", line[0]), *(tag("td", line[at]) for at in filled[1:])) for line in body)),
        class_="plain",
    )
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=f"Scores of {row.label}")


def _line(opened: OpenedRow, number: int, column: Column, others: list[str]) -> Iterator[str]:
    score = opened.row.scores.get(column.id)
    if score is None:
        yield from ["=" if column.same_as else numbers.NONE, *[""] * (4 + len(others))]
    else:
        yield _exact(score.mean, column)
        yield " to ".join(_exact(end, column) for end in score.interval) if score.interval else numbers.NONE
        yield _gap(score)
        yield numbers.NONE if score.std is None else _exact(score.std, column)
        yield numbers.NONE if score.draw_std is None else _exact(score.draw_std, column)
        for name in others:
            value = score.metrics.get(name)
            yield numbers.NONE if value is None else f"{value:.3f}" if name == "nll" else f"{value:.2f}"
    for seed in opened.seeds:
        yield seed.scores[number]


def _exact(value: float, column: Column) -> str:
    return f"{value:.2f}" if column.percent else f"{value:.4g}"


def _gap(score: Score) -> str:
    if score.gap is None:
        return numbers.NONE
    low, high = score.gap.interval
    return f"{score.gap.value:.2f} ({low:.2f} to {high:.2f})"


def _about(about: About) -> Html:
    return _block("Method", _link(f"{about.title}; {about.family}", about.id))


def _link(text: str, id: str) -> Html:
    """Return the link to something that several rows share; the script replaces it by a copy."""
    return tag("p", tag("a", text, href=f"#{id}", class_="shared"))


def _command(opened: OpenedRow) -> Html:
    notes = [tag("p", sentence) for sentence in opened.placeholders]
    return _block("Repeat it", tag("pre", lines(opened.command), class_="command"), *notes)


def listed(facts: Facts) -> Html:
    """Return facts as a list of names and values."""
    return tag("dl", *(joined([tag("dt", name), tag("dd", value)]) for name, value in facts.items()))


def _block(title: str, *content: Html) -> Html:
    return tag("div", tag("h4", title), *content, class_="block")
