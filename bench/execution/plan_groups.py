"""The runs of a plan in a few lines: runs that differ only in the seed or the method share one."""

from collections.abc import Iterable, Iterator, Sequence

from bench.backbones import catalogue as backbones
from bench.filenames import settings_text
from bench.planning.plan import PlannedRun
from bench.planning.settings import recipe_of
from bench.records.record import NO_BUDGET, Identity
from bench.registry.methods import method_of_run
from bench.training.optimizers import REFERENCE_BATCH

MOST_LINES = 60
"""Largest number of lines about runs."""
MOST_NAMES = 50
"""Largest number of names in a line."""


def groups_of(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Yield a line for all methods with the same backbone, seeds, reason and protocols to measure."""
    together: dict[tuple[str, ...], list[str]] = {}
    for (name, backbone, *why), members in _by_method(runs).items():
        seeds = seeds_text(member.identity.seed for member in members)
        together.setdefault((backbone, seeds, *why), []).append(name)
    lines = []
    for (backbone, seeds, reason, protocols), names in together.items():
        because = f" ({reason})" if reason != "new" else ""
        missing = f"; to measure: {protocols}" if protocols else ""
        lines.append(f"{backbone}, {seeds}{because}: {shortened(names)}{missing}")
    yield from _bounded(lines)


def recipe_lines(runs: Sequence[PlannedRun]) -> Iterator[str]:
    """Yield a line for each method with its recipe and epochs, then the protocols that are measured."""
    lines = []
    measured: dict[tuple[str, ...], list[str]] = {}
    for (name, backbone, reason, _), members in _by_method(runs).items():
        seeds = seeds_text(member.identity.seed for member in members)
        because = f" ({reason})" if reason != "new" else ""
        lines.append(f"{name} {backbone}, {seeds}{because}: {training_of(members[0])}")
        names = measured.setdefault(members[0].protocols, [])
        if name not in names:
            names.append(name)
    yield from _bounded(lines)
    by_number = sorted(measured.items(), key=lambda entry: len(entry[1]), reverse=True)
    for number, (protocols, names) in enumerate(by_number):
        of = f" of {shortened(names)}" if number else ""
        yield f"protocols{of}: {', '.join(protocols)}"


def training_of(run: PlannedRun) -> str:
    """Return how a run is trained: epochs, batch size, optimiser and the learning rate that its batch size gives."""
    identity = run.identity
    method = method_of_run(identity, run.origin)
    if identity.budget == NO_BUDGET:
        return "pretrained elsewhere"
    if not method.needs.training:
        return "not trained"
    recipe = recipe_of(method, backbones.find(identity.backbone).kind, identity.settings)
    rate = recipe.rate * identity.batch / REFERENCE_BATCH
    parts = [
        f"{identity.epochs} epoch{'s' if identity.epochs != 1 else ''}",
        f"batch {identity.batch}",
        recipe.optimizer,
    ]
    scaled = f" ({recipe.rate:g} at batch {REFERENCE_BATCH})" if identity.batch != REFERENCE_BATCH else ""
    parts += [f"learning rate {rate:g}{scaled}", f"weight decay {recipe.weight_decay:g}"]
    parts += [f"warm-up {100 * recipe.warmup:g} %"] if recipe.warmup else []
    parts += [f"continues {run.extends.epochs} epochs"] if run.extends is not None else []
    return ", ".join(parts)


def seeds_text(seeds: Iterable[int]) -> str:
    """Return seeds in words: ``seed 3``, ``seeds 0 to 4`` or ``seeds 0, 2, 5``."""
    found = sorted(seeds)
    if len(found) == 1:
        return f"seed {found[0]}"
    if found == list(range(found[0], found[-1] + 1)):
        return f"seeds {found[0]} to {found[-1]}"
    return f"seeds {shortened([str(seed) for seed in found], 20)}"


def shortened(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Return names separated by commas, with the number of those that are left out."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def name_of(identity: Identity) -> str:
    """Return a method's name with its changed settings."""
    return identity.method + (f"+{settings_text(identity.settings)}" if identity.settings else "")


def _by_method(runs: Sequence[PlannedRun]) -> dict[tuple[str, str, str, str], list[PlannedRun]]:
    """Return the runs by method, backbone, reason, and protocols to measure if others are recorded; the seeds share an entry."""
    found: dict[tuple[str, str, str, str], list[PlannedRun]] = {}
    for run in runs:
        protocols = ", ".join(run.protocols) if run.recorded else ""
        found.setdefault((name_of(run.identity), run.identity.backbone, run.reason, protocols), []).append(run)
    return found


def _bounded(lines: Sequence[str]) -> Iterator[str]:
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"and {len(lines) - MOST_LINES:,} more lines"
