"""Calibrate the constants of the few-label protocols, on development tasks only: ``python -m bench.maintenance.calibrate``.

See "Constants of fine-tuning" in ``protocols/README.md``. Every candidate is measured on every unit: the development task of a
data set with one encoder. Results are written to a file and not measured again, so an interrupted calibration can be resumed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import torch
import typer

from bench.atomic import write_text
from bench.data import load
from bench.data.dataset import Dataset, SealedLabels
from bench.data.development import development
from bench.data.spec import DatasetSpec
from bench.data.splits import VAL, stratified
from bench.device import cores
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.score import score
from bench.execution.encoder import encoder_of
from bench.planning.plan import PlannedRun
from bench.records.record import Identity
from bench.records.run_log import RunLog
from bench.records.store import Store
from bench.registry.methods import load_method
from bench.training.context import RunContext
from bench.training.options import RunOptions
from protocols.catalogue import TOLERANCE
from protocols.lowshot import Lowshot
from protocols.lowshot_frozen import LowshotFrozen
from protocols.parts.training import Training

IMAGES = 6000
"""Training images per data set."""
EPOCHS = 10
"""Epochs of pretraining per encoder."""
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
"""Steps before they are varied; with a batch of 64 all draws of one method on digits take about ten seconds."""

FAR_BEHIND = 5.0
"""A candidate that is more points than this behind the best on the first data set is not measured on the others."""


@dataclass(frozen=True)
class Candidate:
    """One setting of the protocols of a family: ``frozen``, ``finetune`` or ``scratch``."""

    family: str
    optimizer: str = ""
    start: str = ""
    trunk_rate: float = 0.0
    head_rate: float = 0.0
    steps: int = 100
    penalty: float = 0.0


def frozen_candidates() -> list[Candidate]:
    """Return the penalties of the logistic regression on frozen features."""
    return [Candidate("frozen", penalty=penalty) for penalty in PENALTIES]


def finetune_candidates() -> list[Candidate]:
    """Return two optimisers, two starts (a zero head only with AdamW), and three powers of ten for the backbone's rate."""
    head_rates = {("sgd", "probe"): 1e-2, ("adamw", "zero"): 1e-2, ("adamw", "probe"): 1e-3}
    return [
        Candidate("finetune", optimizer, start, backbone_rate, head_rate, STEPS)
        for (optimizer, start), head_rate in head_rates.items()
        for backbone_rate in (1e-4, 1e-3, 1e-2)
    ]


def neighbours(best: Candidate) -> list[Candidate]:
    """Return variants of the best candidate: a third and three times the backbone's rate, twice the steps."""
    return [
        replace(best, trunk_rate=best.trunk_rate / 3),
        replace(best, trunk_rate=best.trunk_rate * 3),
        replace(best, steps=best.steps * 2),
    ]


def scratch_candidates() -> list[Candidate]:
    """Return learning rates for a random start, with twice the steps; backbone and head have the same rate."""
    rates = {"sgd": (1e-2, 5e-2, 2e-1), "adamw": (3e-4, 1e-3, 5e-3)}
    return [
        Candidate("scratch", optimizer, "zero", rate, rate, 2 * STEPS)
        for optimizer, optimizer_rates in rates.items()
        for rate in optimizer_rates
    ]


TRAINED_DRAWS = {"1": 3, "10pct": 1}
FROZEN_DRAWS = {"1": 10, "1pct": 5, "10pct": 3}


def draws_of(candidate: Candidate) -> dict[str, int]:
    """Return the draws per label size: all of the protocols' if cheap, only the smallest and largest size if a network is trained."""
    return FROZEN_DRAWS if candidate.family == "frozen" else TRAINED_DRAWS


def subset(dataset: Dataset) -> Dataset:
    """Return the development task of a class-balanced subset of ``train``."""
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
    """A development task and an encoder.

    Attributes:
        dataset: The data set's name.
        backbone: The encoder's backbone.
        method: The method that pretrains the encoder.
        data_root: Folder of the data set, or None.
        folder: Results folder that stores the encoder.
    """

    dataset: str
    backbone: str
    method: str
    data_root: Path | None
    folder: Path

    @property
    def name(self) -> str:
        """The name in the file of results."""
        return f"{self.dataset} {self.backbone} {self.method}"


def evaluation(unit: Unit) -> Evaluation:
    """Return the unit's encoder, stored or newly trained, ready to be measured."""
    dataset = subset(load(unit.dataset, data_root=unit.data_root))
    method = load_method(unit.method)
    identity = Identity(
        dataset.name, dataset.fingerprint, "val", unit.method, method.recipe.version, unit.backbone, 1, 1,
        f"{EPOCHS}ep", EPOCHS, 256, 0,
    )  # fmt: skip
    options = RunOptions(unit.folder, DatasetSpec(unit.dataset, unit.data_root), "cpu", checkpoint_seconds=30.0)
    store = Store(unit.folder)
    context = RunContext(options, store, torch.device("cpu"), on_message=print)
    run = PlannedRun(identity, protocols=(), recorded=(), reason="new")
    encoder = encoder_of(run, dataset, context, RunLog(store.log_path(identity), print))
    return Evaluation(encoder.network, dataset, unit.backbone, 0)


def measured(unit: Unit, candidates: Sequence[Candidate]) -> dict[str, float | None]:
    """Return the top-1 accuracy on ``val`` per candidate and label size, in percent; None if it diverged."""
    ready = evaluation(unit)
    task = replace(ready.task("calibration"), watch=False)
    top1: dict[str, float | None] = {}
    for candidate in candidates:
        for labels, count in draws_of(candidate).items():
            try:
                predictions = _protocol(candidate, labels, count).predict(task)
                found = score(predictions, ready.dataset.test_labels, task.classes)
                top1[key(unit, candidate, labels)] = round(100 * found.metrics["top1"], 2)
            except ValueError:
                top1[key(unit, candidate, labels)] = None
    return top1


def key(unit: Unit, candidate: Candidate, labels: str) -> str:
    """Return the key of one measurement in the file of results."""
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
    """All measurements so far, stored in a file that is written after every few candidates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, float | None] = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, units: Sequence[Unit], candidates: Sequence[Candidate]) -> None:
        """Measure what is not known yet, in one process per core."""
        with ProcessPoolExecutor(cores(), mp_context=get_context("spawn")) as pool:
            waiting = {}
            for unit in units:
                missing = [
                    c for c in candidates if any(key(unit, c, labels) not in self.known for labels in draws_of(c))
                ]
                # Three candidates per job, so that an interruption loses little and all processes end at about the same time.
                for start in range(0, len(missing), 3):
                    waiting[pool.submit(measured, unit, missing[start : start + 3])] = unit
            for done, future in enumerate(as_completed(waiting), 1):
                self.known |= future.result()
                write_text(self.path, json.dumps(self.known, indent=1, sort_keys=True) + "\n")
                print(f"{done}/{len(waiting)} {waiting[future].name}", flush=True)

    def of(self, unit: Unit, candidate: Candidate, labels: str) -> float:
        """Return a measured accuracy; zero for a candidate that diverged."""
        return self.known[key(unit, candidate, labels)] or 0.0

    def mean(self, units: Sequence[Unit], candidate: Candidate, sizes: Sequence[str] = ()) -> float:
        """Return the mean over units and label sizes."""
        found = [self.of(unit, candidate, labels) for unit in units for labels in sizes or draws_of(candidate)]
        return sum(found) / len(found)

    def best(self, units: Sequence[Unit], candidates: Sequence[Candidate], sizes: Sequence[str] = ()) -> Candidate:
        """Return the candidate with the highest mean."""
        return max(candidates, key=lambda candidate: self.mean(units, candidate, sizes))

    def behind(self, units: Sequence[Unit], candidate: Candidate, best: Candidate, labels: str) -> tuple[float, float]:
        """Return how many points a candidate is behind another at one label size, and the standard error over units."""
        lead = torch.tensor([self.of(unit, best, labels) - self.of(unit, candidate, labels) for unit in units])
        return lead.mean().item(), (lead.std() / len(units) ** 0.5).item()


def report(
    figures: Figures, units: Sequence[Unit], families: Mapping[str, tuple[Sequence[Unit], Sequence[Candidate]]]
) -> Iterator[str]:
    """Yield the lines of the report: one table per family, the best candidates first."""
    yield "# Calibration of the few-label constants, version 1"
    yield ""
    yield "Written by `python -m bench.maintenance.calibrate` from `figures.json`. Top-1 accuracy in percent on `val`, in the development tasks of"
    yield f"{', '.join(DATASETS)} ({IMAGES:,} images of `train` each); means over encoders ({', '.join(sorted({f'{m} on {b}' for b, m in ENCODERS}))},"
    yield f"{EPOCHS} epochs). The last column counts runs that diverged. No test image was used."
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
            diverged = sum(figures.known[key(unit, candidate, labels)] is None for unit in own for labels in sizes)
            yield f"| {_title(candidate)} | {cells} | {figures.mean(own, candidate):.1f} | {diverged} |"
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
        Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Folder of MNIST and FashionMNIST.")
    ] = None,
    cifar_root: Annotated[Path | None, typer.Option(help="Folder of CIFAR-10, if another.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of figures.json and report.md.")] = Path("results/calibration"),
    encoders: Annotated[Path, typer.Option(help="Results folder of the encoders.")] = Path("build/calibration"),
) -> None:
    """Measure all candidates and write the report."""
    roots = {"cifar10": cifar_root or data_root}
    units = [Unit(name, *encoder, roots.get(name, data_root), encoders) for name in DATASETS for encoder in ENCODERS]
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
