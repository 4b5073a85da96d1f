"""A row in full as HTML: scores of each seed, method, settings, environment, command, log."""

from collections.abc import Iterator

from bench.leaderboard.rows import ACCURACIES
from bench.leaderboard.tables import Column, Score
from bench.reports import numbers
from bench.reports.page.markup import Html, joined, lines, tag, with_code
from bench.reports.page.model import About, Facts, OpenedRow, TableView

METRICS = {
    "top5": "top-5",
    "mean_class": "mean class",
    "nll": "nll",
    "nmi": "NMI",
    "ari": "ARI",
    "overconfidence": "overconfidence",
}


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
    blocks += [_facts(title, facts) for title, facts in opened.facts.items() if facts]
    parts.append(tag("div", *blocks, class_="blocks"))
    if opened.log is not None:
        title = f"Log of seed {opened.log.seed}{'' if opened.log.whole else ', its end'}"
        parts.append(tag("div", tag("h4", title), _pre(lines(opened.log.text), title), class_="block"))
    return tag("article", *parts, id=opened.id, class_="full", aria_label=f"{row.label} in full")


def _pre(text: Html, label: str) -> Html:
    return tag("pre", text, tabindex="0", role="region", aria_label=label)


def _scores(opened: OpenedRow, view: TableView) -> Html:
    """Return one line per protocol: mean, intervals, deviations, other metrics, and the score of each seed."""
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
        tag(
            "tr",
            tag("th", column.id, scope="row"),
            *(tag("td", text) for text in _line(opened, number, column, others)),
        )
        for number, column in enumerate(view.table.columns)
        if column.id in row.scores or any(seed.scores[number] != numbers.NONE for seed in opened.seeds)
    ]
    empty = [""] * (len(headings) - 1 - len(opened.seeds))
    times = [*empty, *(seed.pretrain_s for seed in opened.seeds)]
    body.append(tag("tr", tag("th", "pretraining, s", scope="row"), *(tag("td", text) for text in times)))
    table = tag(
        "table",
        tag("thead", tag("tr", *(tag("th", heading, scope="col") for heading in headings))),
        tag("tbody", *body),
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
            yield numbers.NONE if value is None else f"{value:.2f}" if name in ACCURACIES else f"{value:.3f}"
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
    paper = [tag("p", "Paper: ", tag("a", about.paper, href=about.paper))] if about.paper.startswith("https://") else []
    facts = [tag("p", f"{about.title}; {about.family}")]
    return _block("Method", *facts, *paper, *(tag("p", with_code(paragraph)) for paragraph in about.paragraphs))


def _command(opened: OpenedRow) -> Html:
    notes = [tag("p", sentence) for sentence in opened.placeholders]
    copy = tag("button", "Copy", type="button", class_="copy", hidden=True)
    return _block("Repeat it", _pre(lines(opened.command), "Command"), copy, *notes)


def _facts(title: str, facts: Facts) -> Html:
    pairs = joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items())
    return _block(title, tag("dl", pairs))


def _block(title: str, *content: Html) -> Html:
    return tag("div", tag("h4", title), *content, class_="block")
