"""One record in full, for the terminal (`sslbench show`)."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from bench.leaderboard.rows import build_row
from bench.leaderboard.tables import Column
from bench.records.record import NO_BUDGET, OWN_NETWORK, Identity, Measurement, Record, watched_text
from bench.reports import numbers, run_facts
from bench.reports.line_plot import draw
from bench.reports.run_facts import transfers
from bench.reports.wide_table import PrintedColumn, text, wide_table
from protocols.catalogue import resolve
from protocols.transfer import parse_transfer


def to_screen(record: Record, width: int, log: Path | None = None) -> RenderableType:
    """Return a record in full for a terminal of ``width`` columns.

    Args:
        record: The record.
        width: Width of the terminal in characters.
        log: The log of the run, or None if there is none.
    """
    identity = record.identity
    task = ", development task" if identity.task == "val" else ""
    good = record.status == "ok"
    parts: list[RenderableType] = [
        text(f"{identity.method} on {identity.dataset}{task}, {_trained(identity)}, seed {identity.seed}", "bold"),
        text(record.status + (f": {record.cause}" if record.cause else ""), "green" if good else "red"),
    ]
    if task:
        parts.append(Text("Development task: measured on val, images of train that are kept for choices.", "dim"))
    parts += [text(f"Note: {note}", "yellow") for note in record.notes]
    parts += [Text(), _facts(run_facts.identity(record) | _log(record, log))]
    if own := [name for name, m in record.protocols.items() if m.transfer is None]:
        parts += [Text(), Text("Protocols", "bold"), *_protocols(record, own, record.classes, width)]
    for other in transfers(record):
        names = [name for name, m in record.protocols.items() if m.transfer and m.transfer.dataset == other.dataset]
        parts += [
            Text(),
            text(f"Measured on {other.dataset}", "bold"),
            *_protocols(record, names, other.classes, width),
        ]
    losses = {name: values for name, values in record.curve.items() if name != "step"}
    for name, values in losses.items():
        title = "Pretraining loss" if name == "loss" else f"Pretraining, {name}"
        parts += [
            Text(),
            text(title, "bold"),
            Text(draw(record.curve.get("step", []), values, width, 8 if name == "loss" else 4)),
        ]
    for name, values in record.watched.items():
        if name not in ("epoch", "step") and values:
            (last,) = watched_text({name: values[-1]})
            parts += [Text(), text(f"Watched during pretraining, at the end {last}", "bold")]
            parts.append(Text(draw(record.watched.get("step", []), values, width, 4)))
    if record.recipe:
        parts += [Text(), Text("Recipe and settings", "bold"), _facts(run_facts.shown(record.recipe))]
    parts += [
        Text(),
        Text("Cost", "bold"),
        _facts(run_facts.cost(record)),
        Text(),
        Text("Environment", "bold"),
        _facts(run_facts.shown(record.environment)),
    ]
    return Group(*parts)


def _log(record: Record, log: Path | None) -> dict[str, str]:
    """Return where the log is, and after an error that its end has the traceback."""
    if log is None:
        return {}
    failed = record.status in ("failed", "interrupted")
    return {"log": f"{log}" + (" (its end has the traceback of the error)" if failed else "")}


def _trained(identity: Identity) -> str:
    if identity.budget != NO_BUDGET:
        return f"{identity.backbone}, {identity.budget}"
    return ("its own network" if identity.backbone == OWN_NETWORK else identity.backbone) + ", pretrained elsewhere"


def _facts(facts: dict[str, str]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(text(name), text(value))
    return grid


def _protocols(record: Record, names: Sequence[str], classes: int | None, width: int) -> Iterator[RenderableType]:
    protocols = {name: record.protocols[name] for name in names}
    columns = [_column(name, measurement) for name, measurement in protocols.items()]
    others = {"top5": "top-5", "mean_class": "mean\nclass", "nll": "nll"}
    scored = build_row([record], columns).scores
    labelled = [c for c in columns if c.percent and c.id in scored]
    if labelled:
        chance = f",\nchance\n{500 / classes:.3g}" if classes else ""
        others["top5"] += chance
        found = [scored[c.id] for c in labelled]
        measured = [protocols[c.protocol] for c in labelled]
        printed = [PrintedColumn("top-1", _texts(f"{score.mean:.2f}" for score in found))]
        printed.append(PrintedColumn("95 %\ninterval", _texts(_interval(score.interval) for score in found)))
        printed.append(
            PrintedColumn(
                "±\ndraws", _texts(numbers.NONE if s.draw_std is None else f"{s.draw_std:.2f}" for s in found)
            )
        )
        for name, heading in others.items():
            if any(name in score.metrics for score in found):
                values = (score.metrics.get(name) for score in found)
                shown = _texts(
                    numbers.NONE if v is None else f"{v:.3f}" if name == "nll" else f"{v:.2f}" for v in values
                )
                printed.append(PrintedColumn(heading, shown))
        if any(m.largest_class is not None for m in measured):
            shares = (numbers.NONE if m.largest_class is None else f"{100 * m.largest_class:.1f}" for m in measured)
            printed.append(PrintedColumn("largest\nclass", _texts(shares)))
        printed.append(PrintedColumn("train\nacc.", _texts(_train_accuracy(m) for m in measured)))
        printed.append(PrintedColumn("s", _texts(f"{m.seconds:.1f}" for m in measured)))
        yield from wide_table([PrintedColumn("protocol", _texts(c.id for c in labelled))], [printed], width)
    facts = {}
    for name, measurement in zip((column.id for column in columns), protocols.values(), strict=True):
        if measurement.same_as:
            facts[name] = f"= {measurement.same_as} (same label sets)"
        elif "top1" not in measurement.metrics:
            facts[name] = ", ".join(_named(key, value, name) for key, value in measurement.metrics.items())
        else:
            further = [_named(key, value) for key, value in measurement.metrics.items() if key not in ("top1", *others)]
            variants = [f"{key}: {100 * v['top1']:.2f}" for key, v in measurement.variants.items() if "top1" in v]
            chosen = [f"{key} = {run_facts.short(value)}" for key, value in measurement.choices.items()]
            if further or variants or chosen:
                facts[name] = "; ".join([*further, *chosen, *variants])
    if facts:
        yield from (Text(), _facts(facts))


def _column(name: str, measurement: Measurement) -> Column:
    """Return the column of a measurement; one on another data set is named by the protocol alone."""
    transfer = parse_transfer(name)
    try:
        fixed_conditions = resolve(name).fixed_conditions
    except ValueError:  # a protocol of a plugin that is not loaded
        fixed_conditions = False
    return Column(
        id=transfer[1] if transfer else name,
        percent="top1" in measurement.metrics,
        protocol=name,
        plugin=measurement.plugin,
        fixed_conditions=fixed_conditions,
        fingerprint=measurement.transfer.fingerprint if measurement.transfer else None,
    )


def _named(metric: str, value: float, protocol: str = "") -> str:
    """Return a metric as text, with its name unless the protocol has the same."""
    return f"{value:.4g}" if metric == protocol else f"{metric} = {value:.4g}"


def _texts(entries: Iterator[str]) -> tuple[Text, ...]:
    return tuple(text(entry) for entry in entries)


def _interval(interval: tuple[float, float] | None) -> str:
    return numbers.NONE if interval is None else f"{interval[0]:.1f}–{interval[1]:.1f}"


def _train_accuracy(measurement: Measurement) -> str:
    values = measurement.train_accuracy
    return f"{100 * sum(values) / len(values):.1f}" if values else numbers.NONE
