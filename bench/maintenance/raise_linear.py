"""Raise the version of ``linear`` in records whose measurement is proven to be that of the new version.

``python -m bench.maintenance.raise_linear RESULTS [--write]``. Version 2 of ``linear`` differs from version 1 in two ways:

- The walk over λ ends when the log-loss on ``val`` has clearly passed its minimum. Both versions walk from the largest λ to smaller ones,
  start each λ at the solution of the one before, and start the final fit at the solution of the chosen λ. So if the rule chooses the same λ on
  the recorded losses, everything up to the answers is the same computation, bit for bit.
- Wide problems are solved differently. A record of a wide problem is never raised: ``linear`` is measured again.

Only the version changes; the losses of the smaller λ stay in the record as the proof.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.atomic import write_text
from bench.backbones.catalogue import CATALOGUE as BACKBONES
from bench.data.catalogue import ENTRIES
from bench.errors import SslbenchError, run_cli
from bench.planning.settings import settings_of
from bench.records.record import Record
from bench.records.record_json import UnreadableRecord, from_json
from bench.registry.methods import load_method, method_names
from protocols.catalogue import HALF_DECADES, RISE, WIDE

OLD, NEW = 1, 2
CHANNELS = 3
"""Most channels of an image."""

VERSION = re.compile(rf'("linear": \{{\s*"version": ){OLD}\b')

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def reason_against(record: Record) -> str | None:
    """Return why the measurement of ``linear`` in a record may differ from that of the new version; None if it is proven equal."""
    measurement = record.protocols["linear"]
    losses, chosen = measurement.choices.get("val_log_loss"), measurement.choices.get("penalty")
    if (
        not isinstance(losses, dict)
        or not isinstance(chosen, float)
        or [float(name) for name in losses] != _names(sorted(HALF_DECADES, reverse=True))
    ):
        return "its losses are not those of every penalty"
    if (new := choice(losses)) != _names([chosen])[0]:
        return f"the new rule chooses another penalty ({new:g} instead of {chosen:g})"
    width = most_features(record)
    if width is None or record.classes is None:
        return "its number of features is unknown"
    if (width + 1) * record.classes > WIDE:
        return "its problem is wide"
    return None


def choice(losses: dict[str, float]) -> float:
    """Return the penalty that the new rule chooses from recorded losses, as its name in the record gives it."""
    lowest, best = float("inf"), float("nan")
    for name, loss in sorted(losses.items(), key=lambda entry: -float(entry[0])):
        if loss < lowest:
            lowest, best = loss, float(name)
        elif loss > (1 + RISE) * lowest:
            break
    return best


def most_features(record: Record) -> int | None:
    """Return an upper bound of the number of features of a run's encoder, or None if the record does not give one."""
    identity = record.identity
    if identity.method not in method_names() or identity.plugin is not None:
        return None
    method = load_method(identity.method)
    if method.needs.backbone in ("none", "own"):
        entry = next((entry for entry in ENTRIES if entry.name == identity.dataset), None)
        return None if entry is None or entry.resizable else CHANNELS * entry.size**2
    if identity.backbone not in BACKBONES:
        return None
    # A method with a code: the code may be wider than the backbone.
    code: Any = getattr(settings_of(method, identity.settings), "dim", 0)
    return max(BACKBONES[identity.backbone].dim, code if isinstance(code, int) else 0)


def raised(text: str) -> tuple[str, str | None]:
    """Return a record's JSON with the new version of ``linear``, and None; or the text as it is, and why.

    Raises:
        UnreadableRecord: The text is no record.
    """
    record = from_json(text)
    measurement = record.protocols.get("linear")
    if measurement is None or measurement.version != OLD:
        return text, "no linear of the old version"
    if (reason := reason_against(record)) is not None:
        return text, reason
    changed, count = VERSION.subn(rf"\g<1>{NEW}", text)
    before, after = json.loads(text), json.loads(changed)
    before["protocols"]["linear"]["version"] = NEW
    if count != 1 or before != after:
        raise SslbenchError("a record is not in the form in which sslbench writes it; nothing was changed in it")
    return changed, None


def _names(penalties: list[float]) -> list[float]:
    """Return penalties as the names in a record give them."""
    return [float(f"{penalty:.3g}") for penalty in penalties]


@app.command()
def main(
    results: Annotated[Path, typer.Argument(help="Folder with records, at any depth.")],
    write: Annotated[bool, typer.Option("--write", help="Change the files; without it, only report.")] = False,
) -> None:
    """Raise the version where it is proven, and list the records in which ``linear`` must be measured again."""
    counts: Counter[str] = Counter()
    for path in sorted(path for folder in results.rglob("records*") for path in folder.rglob("*.json")):
        try:
            text = path.read_text()
            changed, reason = raised(text)
        except UnreadableRecord as error:
            changed, reason = text, str(error)
        counts[reason or "raised"] += 1
        if reason not in (None, "no linear of the old version"):
            print(f"{path}: {reason}")
        if write and changed != text:
            write_text(path, changed)
    for reason, count in counts.most_common():
        print(f"{count:5} {reason}")


if __name__ == "__main__":
    run_cli(app)
