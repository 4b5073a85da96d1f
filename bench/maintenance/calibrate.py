"""The calibration of the few-label constants, on development tasks only: `python -m bench.maintenance.calibrate`.

PROTOCOLS.md, "Fine-tuning: constants by calibration, once". Every candidate is tried on every unit (a data set's development task and an
encoder on it); what was tried stands in the figures' file and is not tried again, so that a stopped calibration goes on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from bench.atomic import write_text
from bench.data import load
from bench.data.dataset import Dataset, SealedLabels
from bench.data.development import development
from bench.data.splits import VAL, stratified
from bench.device import cores, set_threads
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.score import score
from bench.execution.encoder import Sitting, encode
from bench.records.record import Identity
from bench.registry.methods import load_method
from protocols.catalogue import TOLERANCE
from protocols.lowshot import Lowshot
from protocols.lowshot_frozen import LowshotFrozen
from protocols.parts.training import Training

IMAGES = 6000
EPOCHS = 10
DATASETS = ("fashion_mnist", "mnist", "cifar10")
ENCODERS = (
    ("resnet9_slim", "random_init"),
    ("resnet9_slim", "autoencoder"),
    ("resnet9_slim", "simclr"),
    ("resnet9_slim", "barlow_twins"),
    ("vit_nano", "simclr"),
)
PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 10.0)
STEPS, PASSES, BATCH = 50, 10, 64
"""Steps before they are varied; a batch of 64 keeps the draws of one method on digits near ten seconds."""


FAR_BEHIND = 5.0
"""Points: what is further behind the best on the first data set is not tried on the others."""


@dataclass(frozen=True)
class Candidate:
    """One setting of the protocols, by the name of what it is tried for."""

    family: str
    optimizer: str = ""
    start: str = ""
    trunk_rate: float = 0.0
    head_rate: float = 0.0
    steps: int = 100
    penalty: float = 0.0


def frozen_candidates() -> list[Candidate]:
    """Penalties of the logistic regression on frozen features."""
    return [Candidate("frozen", penalty=penalty) for penalty in PENALTIES]


def finetune_candidates() -> list[Candidate]:
    """Both optimisers, both starts (with a zero head only for AdamW), three decades of the backbone's rate."""
    heads = {("sgd", "probe"): 1e-2, ("adamw", "zero"): 1e-2, ("adamw", "probe"): 1e-3}
    return [
        Candidate("finetune", optimizer, start, backbone_rate, head, STEPS)
        for (optimizer, start), head in heads.items()
        for backbone_rate in (1e-4, 1e-3, 1e-2)
    ]


def neighbours(best: Candidate) -> list[Candidate]:
    """Around the best: a third and thrice the backbone's rate, twice the steps."""
    return [
        replace(best, trunk_rate=best.trunk_rate / 3),
        replace(best, trunk_rate=best.trunk_rate * 3),
        replace(best, steps=best.steps * 2),
    ]


def scratch_candidates() -> list[Candidate]:
    """Rates of the random start, at twice the steps; backbone and head learn at one rate."""
    rates = {"sgd": (1e-2, 5e-2, 2e-1), "adamw": (3e-4, 1e-3, 5e-3)}
    return [
        Candidate("scratch", optimizer, "zero", rate, rate, 2 * STEPS)
        for optimizer, several in rates.items()
        for rate in several
    ]


TRAINED_DRAWS = {"1": 3, "10pct": 1}
FROZEN_DRAWS = {"1": 10, "1pct": 5, "10pct": 3}


def draws_of(candidate: Candidate) -> dict[str, int]:
    """Return label sizes and draws: those of the protocols where it is cheap, both ends where the network is trained."""
    return FROZEN_DRAWS if candidate.family == "frozen" else TRAINED_DRAWS


def subset(dataset: Dataset) -> Dataset:
    """Return the development task of a class-balanced part of ``train``."""
    part = Fraction(IMAGES, len(dataset.train_labels))
    keep = torch.from_numpy(stratified(dataset.train_labels.numpy(), part, "calibration", dataset.class_names)[1])
    small = replace(
        dataset,
        train_images=dataset.train_images[keep],
        train_labels=dataset.train_labels[keep],
        traits=replace(dataset.traits, images=len(keep), train=len(keep)),
        fingerprint=f"{dataset.fingerprint}-calibration",
        test_images=dataset.test_images[:1],
        test_labels=SealedLabels(torch.zeros(1, dtype=torch.int64)),
    )
    val = stratified(small.train_labels.numpy(), VAL, "val", dataset.class_names)[1]
    return development(replace(small, val=torch.from_numpy(val)))


@dataclass(frozen=True)
class Unit:
    """A development task and an encoder on it."""

    dataset: str
    backbone: str
    method: str
    data_root: Path | None
    folder: Path

    @property
    def name(self) -> str:
        """For the figures' file."""
        return f"{self.dataset} {self.backbone} {self.method}"


def evaluation(unit: Unit) -> Evaluation:
    """Return the unit's encoder, trained or stored, ready to be measured."""
    set_threads(1)
    dataset = subset(load(unit.dataset, data_root=unit.data_root))
    method = load_method(unit.method)
    identity = Identity(
        dataset.name, dataset.fingerprint, "val", unit.method, method.recipe.version, unit.backbone, 1, 1,
        f"{EPOCHS}ep", EPOCHS, 256, 0,
    )  # fmt: skip
    place = unit.folder / unit.name.replace(" ", "-")
    sitting = Sitting(
        device=torch.device("cpu"),
        threads=1,
        checkpoint=place.with_suffix(".pt"),
        encoder=place.with_suffix(".safetensors"),
        checkpoint_seconds=30.0,
        keep_going=lambda: True,
        on_step=lambda *_: None,
        say=print,
    )
    return Evaluation(encode(identity, dataset, sitting).encoder, dataset, unit.backbone, 0)


def tried(unit: Unit, candidates: Sequence[Candidate]) -> dict[str, Any]:
    """Return the top-1 on ``val`` of each candidate and label size, in percent; None where it diverged."""
    ready = evaluation(unit)
    task = replace(ready.task("calibration"), watch=False)
    figures: dict[str, Any] = {}
    for candidate in candidates:
        for labels, count in draws_of(candidate).items():
            try:
                predictions = _protocol(candidate, labels, count).predict(task)
                found = score(predictions, ready.dataset.test_labels, task.classes)
                figure: float | None = round(100 * found.metrics["top1"], 2)
            except ValueError:
                figure = None
            figures[key(unit, candidate, labels)] = figure
    return figures


def key(unit: Unit, candidate: Candidate, labels: str) -> str:
    """Return the name of one figure."""
    return json.dumps([unit.name, asdict(candidate), labels], sort_keys=True)


def _protocol(candidate: Candidate, labels: str, draws: int) -> LowshotFrozen | Lowshot:
    if candidate.family == "frozen":
        return LowshotFrozen(labels, draws, candidate.penalty, TOLERANCE)
    training = Training(
        candidate.steps,
        PASSES,
        BATCH,
        candidate.trunk_rate,
        candidate.head_rate,
        candidate.optimizer,  # type: ignore[arg-type]
    )
    return Lowshot(
        labels,
        draws,
        training,
        encoder="scratch" if candidate.family == "scratch" else "pretrained",
        start=candidate.start,  # type: ignore[arg-type]
        penalty=candidate.penalty,
        tolerance=TOLERANCE,
    )


class Figures:
    """What was tried so far, in a file that is written after every unit."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, float | None] = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, units: Sequence[Unit], candidates: Sequence[Candidate]) -> None:
        """Try what is not known yet, a unit a process."""
        with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
            waiting = {}
            for unit in units:
                left = [c for c in candidates if any(key(unit, c, labels) not in self.known for labels in draws_of(c))]
                # Pieces of three: the figures of a stopped calibration are kept, and no process waits long for another.
                for start in range(0, len(left), 3):
                    waiting[pool.submit(tried, unit, left[start : start + 3])] = unit
            for done, future in enumerate(as_completed(waiting), 1):
                self.known |= future.result()
                write_text(self.path, json.dumps(self.known, indent=1, sort_keys=True) + "\n")
                print(f"{done}/{len(waiting)} {waiting[future].name}", flush=True)

    def of(self, unit: Unit, candidate: Candidate, labels: str) -> float:
        """Return a figure; a candidate that diverged scores zero."""
        return self.known[key(unit, candidate, labels)] or 0.0

    def mean(self, units: Sequence[Unit], candidate: Candidate, sizes: Sequence[str] = ()) -> float:
        """Return the mean over units and label sizes."""
        found = [self.of(unit, candidate, labels) for unit in units for labels in sizes or draws_of(candidate)]
        return sum(found) / len(found)

    def best(self, units: Sequence[Unit], candidates: Sequence[Candidate], sizes: Sequence[str] = ()) -> Candidate:
        """Return the candidate with the highest mean."""
        return max(candidates, key=lambda candidate: self.mean(units, candidate, sizes))

    def behind(self, units: Sequence[Unit], candidate: Candidate, best: Candidate, labels: str) -> tuple[float, float]:
        """Return by how much a candidate is behind another at one label size, and the standard error of that over units."""
        lead = torch.tensor([self.of(unit, best, labels) - self.of(unit, candidate, labels) for unit in units])
        return lead.mean().item(), (lead.std() / len(units) ** 0.5).item()


def report(
    figures: Figures, units: Sequence[Unit], families: Mapping[str, tuple[Sequence[Unit], Sequence[Candidate]]]
) -> Iterator[str]:
    """Yield the lines of the report: a table a family, the best candidates first."""
    yield "# Calibration of the few-label constants, version 1"
    yield ""
    yield "Written by `python -m bench.maintenance.calibrate`; the figures stand in `figures.json`. Top-1 in percent on the `val` part of development tasks of"
    yield f"{', '.join(DATASETS)} ({IMAGES:,} images of `train` each); means over encoders ({', '.join(sorted({f'{m} on {b}' for b, m in ENCODERS}))},"
    yield f"{EPOCHS} epochs). The last column counts runs that diverged. No test image was looked at."
    for family, (own, candidates) in families.items():
        sizes = draws_of(candidates[0])
        best = figures.best(own, candidates)
        yield ""
        yield f"## {family}"
        yield ""
        yield f"| candidate | {' | '.join(sizes)} | mean | diverged |"
        yield f"|---|{'---:|' * (len(sizes) + 2)}"
        for candidate in sorted(candidates, key=lambda c: -figures.mean(own, c)):
            cells = " | ".join(f"{figures.mean(own, candidate, (labels,)):.1f}" for labels in sizes)
            lost = sum(figures.known[key(unit, candidate, labels)] is None for unit in own for labels in sizes)
            yield f"| {_title(candidate)} | {cells} | {figures.mean(own, candidate):.1f} | {lost} |"
        yield ""
        yield f"Best mean: {_title(best)}. Against the best of each label size:"
        yield ""
        for labels in sizes:
            top = figures.best(own, candidates, (labels,))
            lead, error = figures.behind(own, best, top, labels)
            yield f"- {labels}: {_title(top)} leads by {lead:.2f} ± {error:.2f} (standard error over {len(own)} units)."


def _title(candidate: Candidate) -> str:
    if candidate.family == "frozen":
        return f"λ = {candidate.penalty:g}"
    rates = f"backbone {candidate.trunk_rate:.2g}, head {candidate.head_rate:.2g}"
    return f"{candidate.optimizer}, {candidate.start} start, {rates}, {candidate.steps} steps"


def main(
    data_root: Annotated[
        Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Where MNIST and FashionMNIST lie.")
    ] = None,
    cifar_root: Annotated[Path | None, typer.Option(help="Where CIFAR-10 lies, if elsewhere.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the figures and the report.")] = Path("results/calibration"),
    encoders: Annotated[Path, typer.Option(help="Folder of the encoders.")] = Path("results/encoders/calibration"),
) -> None:
    """Try all candidates and write the report."""
    roots = {"cifar10": cifar_root or data_root}
    units = [Unit(name, *one, roots.get(name, data_root), encoders) for name in DATASETS for one in ENCODERS]
    scratch_units = [unit for unit in units if (unit.backbone, unit.method) == ENCODERS[0]]
    figures = Figures(out / "figures.json")

    frozen = frozen_candidates()
    figures.measure(units, frozen)
    penalty = figures.best(units, frozen).penalty
    finetune = [replace(candidate, penalty=penalty) for candidate in finetune_candidates()]
    first = units[: len(ENCODERS)]
    figures.measure(first, finetune)
    leader = figures.mean(first, figures.best(first, finetune))
    left_out = [candidate for candidate in finetune if figures.mean(first, candidate) < leader - FAR_BEHIND]
    finetune = [candidate for candidate in finetune if candidate not in left_out]
    figures.measure(units, finetune)
    finetune += neighbours(figures.best(units, finetune))
    figures.measure(units, finetune)
    scratch = scratch_candidates()
    figures.measure(scratch_units, scratch)
    families = {
        "frozen": (units, frozen),
        "finetune": (units, finetune),
        f"finetune, left out after {DATASETS[0]}": (first, left_out),
        "scratch": (scratch_units, scratch),
    }
    write_text(out / "report.md", "\n".join(report(figures, units, families)) + "\n")


if __name__ == "__main__":
    typer.run(main)
