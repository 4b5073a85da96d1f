"""What is measured when a GPU is at hand, the most telling first, within a given time: ``make gpu MINUTES=30``.

Every step goes on where it was cut off: runs that have a record are skipped, one in the middle continues from its checkpoint.
"""

import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import SslbenchError, answer

GRACE_SECONDS = 40.0
"""What a step that is cut off may take to keep its checkpoints."""

FIRST = ("simclr", "byol", "barlow_twins", "moco", "simsiam", "supervised", "random_init")
LITERATURE = ("knn-200-t01", "linear")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Step:
    """One thing to measure.

    Attributes:
        title: For the log.
        command: Arguments of Python.
    """

    title: str
    command: tuple[str, ...]


def steps(results: Path, data_root: Path | None) -> list[Step]:
    """Return all steps, in order."""
    raw = results / "throughput-raw.json"
    places = ("--results", str(results), *(("--data-root", str(data_root)) if data_root else ()))

    def run(*arguments: str) -> tuple[str, ...]:
        return ("-m", "bench.cli", "run", *arguments, *places)

    def suite(*tests: str) -> tuple[str, ...]:
        return ("-m", "pytest", *tests, "--benchmark-only", "--benchmark-json", str(raw), "--quiet", "--no-header")

    cifar = ("--dataset", "cifar10")
    literature = tuple(word for name in LITERATURE for word in ("--protocol", name))
    return [
        Step("the tests that need a GPU", ("-m", "pytest", "tests/execution/test_on_a_gpu.py", "--quiet")),
        Step("what the program says of this machine", ("-m", "bench.cli", "doctor")),
        Step("one epoch of CIFAR-10", run("simclr", "supervised", *cifar, "--budget", "smoke")),
        Step("throughput", suite("tests/throughput")),
        Step(
            "throughput, kept",
            ("-m", "bench.maintenance.throughput", "keep", str(raw), "--into", str(results / "throughput")),
        ),
        Step("CIFAR-10, ten epochs, every method", run("--all", *cifar, "--budget", "quick")),
        Step("CIFAR-10, 200 epochs, the first methods", run(*FIRST, *cifar, "--budget", "standard", *literature)),
        Step("CIFAR-10, 200 epochs, every method", run("--all", *cifar, "--budget", "standard", *literature)),
        Step("FashionMNIST, three seeds", run("--all", "--dataset", "fashion_mnist", "--seeds", "3")),
    ]


def work_off(todo: Sequence[Step], minutes: float) -> list[tuple[str, str]]:
    """Do steps one after another until the time is over; return each one's title and how it ended."""
    deadline = time.monotonic() + 60 * minutes
    told = []
    for step in todo:
        left = deadline - time.monotonic() - GRACE_SECONDS
        if left <= 0:
            told.append((step.title, "not begun"))
            continue
        print(f"== {step.title} ({left / 60:.1f} minutes left)", flush=True)
        began = time.monotonic()
        ended = _do(step, left)
        told.append((step.title, f"{ended} after {time.monotonic() - began:.0f} s"))
    return told


def _do(step: Step, seconds: float) -> str:
    process = subprocess.Popen([sys.executable, *step.command])
    try:
        code = process.wait(timeout=seconds)
        return "done" if code == 0 else f"failed (exit code {code})"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return "cut off"


def archive(results: Path, path: Path) -> None:
    """Pack what a results folder tells: records, throughput and logs, without encoders and checkpoints."""
    with tarfile.open(path, "w:gz") as packed:
        for part in ("records", "throughput", "logs"):
            if (results / part).is_dir():
                packed.add(results / part, arcname=part)


@app.command()
def measure(
    minutes: Annotated[float, typer.Option(min=1, help="When to stop.")] = 30,
    results: Annotated[Path, typer.Option(help="Where records go.")] = Path("results"),
    data_root: Annotated[Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Where data sets lie.")] = None,
    into: Annotated[Path, typer.Option(help="The archive of what was measured.")] = Path("build/gpu.tar.gz"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the steps and stop.")] = False,
) -> None:
    """Measure on this machine's GPU, and pack the records."""
    todo = steps(results, data_root)
    if dry_run:
        print("\n".join(f"{step.title}: python {' '.join(step.command)}" for step in todo))
        return
    import torch

    if not torch.cuda.is_available():
        raise SslbenchError("torch sees no GPU here; `sslbench doctor` says what it sees")
    told = work_off(todo, minutes)
    into.parent.mkdir(parents=True, exist_ok=True)
    archive(results, into)
    print("\n".join(f"{title}: {how}" for title, how in told))


if __name__ == "__main__":
    answer(app)
