"""Measure the memory of one run on a set of images that does not fit in memory: ``python -m bench.maintenance.memory FOLDER``.

The images are small JPEGs with one pattern per class, made once and enlarged by ``--size``. One process decodes them into the image cache,
pretrains on all of them and measures every default protocol. Linux only: the kernel's peak of the process (``VmHWM``) is read and
reset at the end of every stage. It counts everything, also pages of mapped files, which the kernel could take back at any time.
"""

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image

from bench.atomic import write_text
from bench.data.spec import DatasetSpec
from bench.device import cores, set_threads
from bench.errors import SslbenchError, run_cli
from bench.execution.run import execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.environment import describe
from bench.records.store import Store
from bench.training.context import Progress, RunContext
from bench.training.options import RunOptions

CLASSES = 10
SIDE = 64
"""Side of the JPEGs in pixels."""
PARTS = {"train": 0.125, "test": 0.025, "unlabelled": 0.85}
"""Most images have no label, because fine-tuning takes long on labelled ones."""
FILE = Path("results/throughput/memory/2-cores.json")
STATUS = Path("/proc/self/status")
KINDS = {"peak": "VmHWM", "own": "RssAnon", "mapped": "RssFile"}
"""Peak of the resident set; memory that only this process has; pages of files that it has mapped (libraries, images, features)."""
SAMPLED_SECONDS = 0.02

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def picture(number: int) -> Image.Image:
    """Return image ``number``: a grating whose direction and colour belong to the class, with noise; no two are equal."""
    generator = np.random.default_rng(number)
    angle = np.pi * (number % CLASSES) / CLASSES
    across, down = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    wave = np.sin(
        (across * np.cos(angle) + down * np.sin(angle)) * generator.uniform(0.3, 0.6) + generator.uniform(0, 6)
    )
    colour = 0.5 + 0.5 * np.cos(2 * angle + np.arange(3) * 2)
    noise = generator.normal(0, 30, (SIDE, SIDE, 3))
    pixels = 128 + 80 * wave[:, :, None] * colour + noise
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_images(folder: Path, count: int) -> None:
    """Write the JPEGs in the layout of an image folder."""
    number = 0
    for part, share in PARTS.items():
        for _ in range(round(count * share)):
            place = folder / part if part == "unlabelled" else folder / part / f"class-{number % CLASSES}"
            place.mkdir(parents=True, exist_ok=True)
            picture(number).save(place / f"{number}.jpg", quality=50)
            number += 1


@dataclass
class Stages:
    """Memory of this process, stage by stage.

    Attributes:
        rows: One row for each finished stage: its name, its seconds and megabytes.
        stage: Name of the current stage.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    stage: str = "libraries"

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.sampled = {"own": 0, "mapped": 0}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)
        self.thread.start()

    def begin(self, stage: str) -> None:
        """End the current stage and begin another one; nothing happens if it is the same."""
        if stage == self.stage:
            return
        now = _status()
        row = {"stage": self.stage, "seconds": round(time.monotonic() - self.started, 1), "peak_mb": now["peak"]}
        row |= {f"{kind}_mb": max(self.sampled[kind], now[kind]) for kind in ("own", "mapped")}
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        self.stage, self.started, self.sampled = stage, time.monotonic(), {"own": 0, "mapped": 0}
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM

    def end(self) -> None:
        """End the last stage."""
        self.begin("")
        self.ended.set()
        self.thread.join()

    def _sample(self) -> None:
        while not self.ended.wait(SAMPLED_SECONDS):
            now = _status()
            for kind, most in self.sampled.items():
                self.sampled[kind] = max(most, now[kind])


def _status() -> dict[str, int]:
    """Return the memory of this process in MB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return {kind: int(lines[name].split()[0]) * 1024 // 10**6 for kind, name in KINDS.items()}


def measured(
    folder: Path, size: int, method: str, backbone: str, share: float | None, results: Path
) -> Sequence[dict[str, Any]]:
    """Carry out one run and return the memory of each stage."""
    options = RunOptions(results, DatasetSpec(f"folder:{folder}", image_size=size), device="cpu", threads=cores())
    set_threads(options.threads)
    stages = Stages()
    stages.begin("decode, split and plan")
    request = Request(methods=[method], budget="smoke", backbone=backbone, share=share)
    (run,) = plan_runs(request, options).runs
    stages.begin("load again")
    dataset = options.dataset.load()

    def on_progress(progress: Progress) -> None:
        stages.begin(progress.stage)

    context = RunContext(options, Store(results), torch.device("cpu"), on_progress=on_progress, on_message=print)
    record = execute(run, dataset, context)
    stages.end()
    if record is None or record.status != "ok":
        raise SslbenchError(f"the run ended as {record and record.status}: {record and record.cause}")
    return stages.rows


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Folder of the JPEGs; they are made if it does not exist.")],
    count: Annotated[int, typer.Option(help="Number of images.")] = 40_000,
    size: Annotated[int, typer.Option(help="Side of the decoded images in pixels.")] = 224,
    method: Annotated[str, typer.Option(help="Method.")] = "mae",
    backbone: Annotated[str, typer.Option(help="Backbone.")] = "vit_nano",
    share: Annotated[
        float | None, typer.Option(help="Share of the images used for pretraining; all by default.")
    ] = None,
    into: Annotated[Path, typer.Option(help="File of the figures.")] = FILE,
) -> None:
    """Measure one run and store the figures; set SSLBENCH_CACHE to a folder with enough space."""
    if not STATUS.is_file():
        raise SslbenchError("the memory of a process can be measured only on Linux")
    if not folder.is_dir():
        write_images(folder, count)
    with TemporaryDirectory(dir=folder.parent) as results:
        rows = measured(folder, size, method, backbone, share, Path(results))
    libraries = rows[0]["peak_mb"]
    figures = {
        "what": f"{method} on {backbone}: {count:,} images of {size}×{size}×3, {count * 3 * size**2 / 1e9:.2f} GB decoded; one epoch on "
        f"{share or 1:.0%} of train and unlabelled, then all default protocols, in one process",
        "how": "peak_mb: the kernel's peak of the resident set in the stage (VmHWM, reset after each stage), with the pages of mapped files; own_mb and "
        f"mapped_mb: largest RssAnon and RssFile among samples every {SAMPLED_SECONDS:g} s, not always at the same moment; 1 MB is 10^6 bytes",
        "environment": describe("cpu", "32-true", cores()),
        "parts": {part: round(count * share) for part, share in PARTS.items()},
        "libraries_mb": libraries,
        "most_above_libraries_mb": max(row["peak_mb"] for row in rows) - libraries,
        "stages": rows,
    }
    into.parent.mkdir(parents=True, exist_ok=True)
    write_text(into, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    run_cli(app)
