"""Calibrate the constants of ``attentive``, on development tasks only: ``python -m bench.maintenance.calibrate_attentive``.

Every candidate is measured on every unit of ``bench.maintenance.calibrate``: the development task of 6,000 images of ``train`` with one
encoder. First the learning rate is chosen (rates far behind on the first data set are not measured on the other), then one constant after
another is varied around it. The network runs once per unit, because all candidates use the same stored cells. Results are written to a
file and not measured again, so an interrupted calibration can be resumed.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from bench.atomic import write_text
from bench.device import exact_float32
from bench.maintenance.calibrate import EPOCHS, FAR_BEHIND, IMAGES, Unit, evaluation
from protocols.attentive import Attentive, cells_of
from protocols.base import Task

DATASETS = ("fashion_mnist", "cifar10")
ENCODERS = (
    ("vit_nano", "random_init"),
    ("vit_nano", "mae"),
    ("resnet9_slim", "random_init"),
    ("resnet9_slim", "simclr"),
)
START = Attentive(heads=4, epochs=0, steps=500, batch=256, rate=1e-3, weight_decay=0.0)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
STEPS = (1000,)
DECAYS = (1.0,)
HEADS = (8, 1)


def variants(best: Attentive) -> list[Attentive]:
    """Return candidates that differ from the best learning rate's in one constant."""
    return [
        *(replace(best, steps=steps) for steps in STEPS),
        *(replace(best, heads=heads) for heads in HEADS),
        *(replace(best, weight_decay=decay) for decay in DECAYS),
    ]


@dataclass(frozen=True)
class Stored:
    """The cells of a unit, and what is needed to measure a candidate on them."""

    task: Task
    train: Tensor
    test: Tensor
    labels: Tensor


@cache
def stored(unit: Unit) -> Stored:
    """Return the cells of a unit's encoder, which is stored or newly trained."""
    ready = evaluation(unit)
    task = replace(ready.task("calibration"), watch=False)
    with exact_float32():
        train, test = cells_of(task.train_images, task), cells_of(task.test_images, task)
    return Stored(task, train, test, ready.dataset.test_labels.open())


def measured(unit: Unit, candidate: Attentive) -> float | None:
    """Return the top-1 accuracy on ``val`` in percent; None if it diverged."""
    cells = stored(unit)
    try:
        with exact_float32():
            (scores,) = candidate.on_cells(cells.train, cells.test, cells.task).scores
    except ValueError:
        return None
    return round(100 * float((scores.argmax(dim=1) == cells.labels).double().mean()), 2)


def key(unit: Unit, candidate: Attentive) -> str:
    """Return the key of one measurement in the file of results."""
    return json.dumps([unit.name, asdict(candidate)], sort_keys=True)


class Figures:
    """All measurements so far, stored in a file that is written after every one."""

    def __init__(self, path: Path, units: Sequence[Unit]) -> None:
        self.path, self.units = path, units
        self.known: dict[str, float | None] = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, candidates: Sequence[Attentive], dataset: str = "") -> None:
        """Measure what is not known yet, on all units or on those of one data set."""
        for candidate in candidates:
            for unit in self.of_dataset(dataset):
                if key(unit, candidate) not in self.known:
                    self.known[key(unit, candidate)] = top1 = measured(unit, candidate)
                    write_text(self.path, json.dumps(self.known, indent=1, sort_keys=True) + "\n")
                    print(f"{unit.name}: {title(candidate)}: {top1}", flush=True)

    def of_dataset(self, dataset: str = "") -> list[Unit]:
        """Return the units of one data set, or all."""
        return [unit for unit in self.units if dataset in ("", unit.dataset)]

    def of(self, unit: Unit, candidate: Attentive) -> float:
        """Return a measured accuracy; zero for a candidate that diverged."""
        return self.known[key(unit, candidate)] or 0.0

    def mean(self, candidate: Attentive, backbone: str = "", dataset: str = "") -> float:
        """Return the mean over the units, or over those of one backbone or data set."""
        found = [self.of(unit, candidate) for unit in self.of_dataset(dataset) if backbone in ("", unit.backbone)]
        return sum(found) / len(found)

    def lead(self, candidate: Attentive, over: Attentive) -> tuple[float, float]:
        """Return by how many points a candidate is better than another, and the standard error over units."""
        points = torch.tensor([self.of(unit, candidate) - self.of(unit, over) for unit in self.units])
        return points.mean().item(), (points.std() / len(points) ** 0.5).item()


def report(
    figures: Figures, candidates: Sequence[Attentive], base: Attentive, left_out: Mapping[str, float]
) -> Iterator[str]:
    """Yield the lines of the report: one table, the best candidates first; ``left_out``: title -> mean on the first data set."""
    backbones = sorted({backbone for backbone, _ in ENCODERS})
    yield "# Calibration of `attentive`, version 1"
    yield ""
    yield "Written by `python -m bench.maintenance.calibrate_attentive` from `attentive.json`. Top-1 accuracy in percent on `val`, in the"
    yield f"development tasks of {' and '.join(DATASETS)} ({IMAGES:,} images of `train` each); means over encoders"
    yield f"({', '.join(f'{method} on {backbone}' for backbone, method in ENCODERS)};"
    yield f"{EPOCHS} epochs). The last column is the lead over the best learning rate with the other constants of the start, and its"
    yield f"standard error over {len(figures.units)} units. No test image was used."
    yield ""
    yield f"| candidate | {' | '.join(backbones)} | mean | lead |"
    yield f"|---|{'---:|' * (len(backbones) + 2)}"
    for candidate in sorted(candidates, key=lambda c: -figures.mean(c)):
        cells = " | ".join(f"{figures.mean(candidate, backbone):.1f}" for backbone in backbones)
        lead, error = figures.lead(candidate, base)
        beside = "–" if candidate == base else f"{lead:+.2f} ± {error:.2f}"
        yield f"| {title(candidate)} | {cells} | {figures.mean(candidate):.1f} | {beside} |"
    yield ""
    yield f"Not measured on the other data set, because of {DATASETS[0]}: {', '.join(f'{name} ({mean:.1f})' for name, mean in left_out.items())}."


def title(candidate: Attentive) -> str:
    """Return a candidate's constants in words."""
    rate, decay = f"{candidate.rate:g}", f"{candidate.weight_decay:g}"
    return f"rate {rate}, {candidate.steps} steps, decay {decay}, {candidate.heads} heads"


def main(
    data_root: Annotated[Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Folder of FashionMNIST.")] = None,
    cifar_root: Annotated[Path | None, typer.Option(help="Folder of CIFAR-10, if another.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of attentive.json and attentive.md.")] = Path("results/calibration"),
    encoders: Annotated[Path, typer.Option(help="Results folder of the encoders.")] = Path("build/calibration"),
) -> None:
    """Measure all candidates and write the report."""
    roots = {"cifar10": cifar_root or data_root}
    units = [Unit(name, *encoder, roots.get(name, data_root), encoders) for name in DATASETS for encoder in ENCODERS]
    figures = Figures(out / "attentive.json", units)
    rates = [replace(START, rate=rate) for rate in RATES]
    first = DATASETS[0]
    figures.measure(rates, first)
    top1 = {rate: figures.mean(rate, dataset=first) for rate in rates}
    left_out = [rate for rate in rates if top1[rate] < max(top1.values()) - FAR_BEHIND]
    rates = [rate for rate in rates if rate not in left_out]
    figures.measure(rates)
    base = max(rates, key=figures.mean)
    others = variants(base)
    figures.measure(others)
    lines = report(figures, [*rates, *others], base, {title(rate): top1[rate] for rate in left_out})
    write_text(out / "attentive.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    typer.run(main)
