"""One record in full, for `sslbench show`: found by a part of its path, drawn for the terminal."""

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from bench.filenames import settings_text
from bench.leaderboard.rows import row
from bench.leaderboard.tables import Column
from bench.records.record import NO_BUDGET, OWN_NETWORK, Identity, Measurement, Record
from bench.reports import numbers
from bench.reports.line_plot import draw
from bench.reports.wide_table import PrintedColumn, wide_table


def render(record: Record, width: int) -> RenderableType:
    """Return a record in full for a terminal of ``width`` columns."""
    of = record.identity
    task = ", development task" if of.task == "val" else ""
    parts: list[RenderableType] = [
        Text(f"{of.method} on {of.dataset}{task}, {_trained(of)}, seed {of.seed}", "bold"),
        Text(
            record.status + (f": {record.cause}" if record.cause else ""), "green" if record.status == "ok" else "red"
        ),
        Text(),
        _facts(_identity(record)),
    ]
    if record.protocols:
        parts += [Text(), Text("Protocols", "bold"), *_protocols(record, width)]
    losses = {name: values for name, values in record.curve.items() if name != "step"}
    for name, values in losses.items():
        title = "Pretraining loss" if name == "loss" else f"Pretraining, {name}"
        parts += [
            Text(),
            Text(title, "bold"),
            Text(draw(record.curve.get("step", []), values, width, 8 if name == "loss" else 4)),
        ]
    parts += [
        Text(),
        Text("Cost", "bold"),
        _facts(_cost(record)),
        Text(),
        Text("Environment", "bold"),
        _facts(_environment(record)),
    ]
    return Group(*parts)


def _trained(of: Identity) -> str:
    if of.budget != NO_BUDGET:
        return f"{of.backbone}, {of.budget}"
    return ("its own network" if of.backbone == OWN_NETWORK else of.backbone) + ", pretrained elsewhere"


def _facts(facts: dict[str, str]) -> Grid:
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, Text(value))
    return grid


def _identity(record: Record) -> dict[str, str]:
    of = record.identity
    facts = {
        "versions": f"method {of.method_version}, backbone {of.backbone_version}, harness {of.harness_version}",
        "training": f"{of.epochs} epochs, batch {of.batch}" if of.epochs else "elsewhere",
        "data": (f"{record.classes} classes, " if record.classes else "") + f"fingerprint {of.fingerprint}",
    }
    return facts | ({"changed": settings_text(of.settings)} if of.settings else {})


def _protocols(record: Record, width: int) -> Iterator[RenderableType]:
    columns = [Column(name, "top1" in m.metrics) for name, m in record.protocols.items()]
    scored = row([record], columns).scores
    labelled = [c for c in columns if c.percent and c.id in scored]
    if labelled:
        chance = f",\nchance\n{500 / record.classes:.3g}" if record.classes else ""
        figures = {"top5": f"top-5{chance}", "mean_class": "mean\nclass", "nll": "nll"}
        found = [scored[c.id] for c in labelled]
        measured = [record.protocols[c.id] for c in labelled]
        kinds = [PrintedColumn("top-1", _texts(f"{score.mean:.2f}" for score in found))]
        kinds.append(PrintedColumn("95 %\ninterval", _texts(_between(score.interval) for score in found)))
        kinds.append(
            PrintedColumn(
                "±\ndraws", _texts(numbers.NONE if s.draw_std is None else f"{s.draw_std:.2f}" for s in found)
            )
        )
        for name, heading in figures.items():
            if any(name in score.metrics for score in found):
                values = (score.metrics.get(name) for score in found)
                shown = _texts(
                    numbers.NONE if v is None else f"{v:.3f}" if name == "nll" else f"{v:.2f}" for v in values
                )
                kinds.append(PrintedColumn(heading, shown))
        kinds.append(PrintedColumn("train\nacc.", _texts(_train(m) for m in measured)))
        kinds.append(PrintedColumn("s", _texts(f"{m.seconds:.1f}" for m in measured)))
        yield from wide_table([PrintedColumn("protocol", _texts(c.id for c in labelled))], [kinds], width)
    facts = {}
    for name, measurement in record.protocols.items():
        if measurement.same_as:
            facts[name] = f"= {measurement.same_as} (the same label sets)"
        elif "top1" not in measurement.metrics:
            facts[name] = ", ".join(f"{value:.4g}" for value in measurement.metrics.values())
        else:
            variants = [f"{key}: {100 * v['top1']:.2f}" for key, v in measurement.variants.items() if "top1" in v]
            chosen = [f"{key} = {_short(value)}" for key, value in measurement.choices.items()]
            if variants or chosen:
                facts[name] = "; ".join([*chosen, *variants])
    if facts:
        yield from (Text(), _facts(facts))


def _texts(entries: Iterator[str]) -> tuple[Text, ...]:
    return tuple(Text(entry) for entry in entries)


def _between(interval: tuple[float, float] | None) -> str:
    return numbers.NONE if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}"


def _train(measurement: Measurement) -> str:
    values = measurement.train_accuracy
    return f"{100 * sum(values) / len(values):.1f}" if values else numbers.NONE


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_short(entry)}" for key, entry in value.items())
    if isinstance(value, list):
        return ", ".join(map(_short, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cost(record: Record) -> dict[str, str]:
    facts = {column.heading: numbers.cost(record.cost, column) for column in numbers.COST_COLUMNS}
    evaluate = record.cost.evaluate_s
    return facts | {"evaluate s": numbers.NONE if evaluate is None else f"{evaluate:,.0f}"}


def _environment(record: Record) -> dict[str, str]:
    return {
        name: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else _short(value)
        for name, value in record.environment.items()
    }
