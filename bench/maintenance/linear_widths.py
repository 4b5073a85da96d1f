"""Measure how long ``linear`` takes on features of other widths: ``python -m bench.maintenance.linear_widths DATA``.

The images are real (FashionMNIST), the features are their pixels (784) or the outputs of one random layer with ReLU on these pixels.
scikit-learn's ``LogisticRegression`` (L-BFGS, its default tolerance) solves the same problem for one λ, the one that ``linear`` chose.
Nothing else may run on the machine meanwhile.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from jaxtyping import Float
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bench.atomic import write_text
from bench.data.dataset import Dataset
from bench.data.spec import DatasetSpec
from bench.device import cores, set_threads
from bench.errors import run_cli
from bench.records.environment import describe
from protocols.base import Task
from protocols.catalogue import load, resolve
from protocols.parts.labelled import Standardisation

WIDTHS = (512, 784, 1280, 2048)
COUNTS = (2_500, 10_000, 60_000)
PIXELS = 784
FILE = Path("results/throughput/linear_widths.json")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def features_of(images: Float[Tensor, "n pixels"], width: int) -> Float[Tensor, "n width"]:
    """Return the pixels themselves for their own width, else the outputs of one random layer with ReLU."""
    if width == PIXELS:
        return images
    layer = torch.randn(PIXELS, width, generator=torch.Generator().manual_seed(width)) / PIXELS**0.5
    standardised = (images - images.mean(dim=0)) / images.std(dim=0).clamp_min(1e-3)
    return torch.relu(standardised @ layer)


def task_of(data: Dataset, width: int, count: int) -> Task:
    """Return a task with the first ``count`` training images in random order; a tenth of them is ``val``."""
    order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(0))[:count]
    images = torch.cat([data.train_images[order], data.test_images[:]]).flatten(1).float() / 255
    features = features_of(images, width)
    positions = torch.arange(count)
    unused: Any = None
    return Task(
        train_images=data.train_images[order],
        train_labels=data.train_labels[order],
        train_features=features[:count],
        test_images=data.test_images,
        test_features=features[count:],
        unlabelled_images=None,
        classes=data.traits.classes,
        fit=positions[positions % 10 != 0],
        val=positions[positions % 10 == 0],
        label_set=unused,
        encoder=None,
        scratch_encoder=None,
        prepare=unused,
        augment=unused,
        features_of=unused,
        generator=unused,
        device=torch.device("cpu"),
    )


def measured(data: Dataset, width: int, count: int) -> dict[str, Any]:
    """Return the seconds of ``linear`` and of scikit-learn on one width and number of images, and what ``linear`` chose."""
    task = task_of(data, width, count)
    started = time.perf_counter()
    choices = load(resolve("linear")).predict(task).choices
    seconds = time.perf_counter() - started
    inputs = Standardisation.of(task.train_features)(task.train_features).numpy()
    reference = LogisticRegression(C=1 / (count * choices["penalty"]), max_iter=10_000)
    started = time.perf_counter()
    reference.fit(inputs, task.train_labels.numpy())
    return {
        "width": width,
        "images": count,
        "seconds": round(seconds, 2),
        "penalty": choices["penalty"],
        "penalties_fitted": len(choices["val_log_loss"]),
        "not_converged": choices["not_converged"],
        "scikit_learn_seconds_for_one_penalty": round(time.perf_counter() - started, 2),
    }


@app.command()
def main(
    data_root: Annotated[Path, typer.Argument(help="Folder with FashionMNIST.")],
    into: Annotated[Path, typer.Option(help="File of the figures.")] = FILE,
    widths: Annotated[list[int] | None, typer.Option(help="Widths; all by default.")] = None,
    counts: Annotated[list[int] | None, typer.Option(help="Numbers of training images; all by default.")] = None,
) -> None:
    """Measure every width with every number of images and store the figures."""
    set_threads(cores())
    data = DatasetSpec("fashion_mnist", data_root).load()
    rows = []
    for width in widths or WIDTHS:
        for count in counts or COUNTS:
            rows.append(measured(data, width, count))
            print(json.dumps(rows[-1]), flush=True)
    figures = {
        "what": "linear on features of real images (FashionMNIST): their 784 pixels, or one random layer with ReLU",
        "environment": describe("cpu", "32-true", cores()),
        "protocol_version": resolve("linear").version,
        "rows": rows,
    }
    into.parent.mkdir(parents=True, exist_ok=True)
    write_text(into, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    run_cli(app)
