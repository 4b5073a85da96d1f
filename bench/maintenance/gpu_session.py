"""Measurements on a GPU within a given time, the most important first: ``make gpu MINUTES=30``.

First whether everything works there, then throughput, then tables from ten to 200 epochs, evaluation at scale, waits inside steps and several
GPUs, and lightly's published table. Started again, it continues: recorded runs are skipped, and an interrupted run resumes from its checkpoint.
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

from bench.device import gpus
from bench.errors import SslbenchError, run_cli

GRACE_SECONDS = 40.0
"""Time that an interrupted step has to write its checkpoints."""

FIRST_METHODS = ("simclr", "byol", "barlow_twins", "moco", "simsiam", "supervised", "random_init")
LITERATURE = ("knn-200-t01", "linear")
"""Protocols whose numbers the literature reports."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True)
class Step:
    """One command of the session.

    Attributes:
        title: The title in the output.
        command: Arguments for the Python interpreter.
    """

    title: str
    command: tuple[str, ...]


def steps(results: Path, data_root: Path | None) -> list[Step]:
    """Return all steps, in order."""
    data = ("--data-root", str(data_root)) if data_root else ()

    def run(*arguments: str, into: Path = results) -> tuple[str, ...]:
        return ("-m", "bench.cli", "run", *arguments, "--results", str(into), *data)

    def tests(*files: str) -> tuple[str, ...]:
        return ("-m", "pytest", *files, "--quiet", "--no-header")

    def suite(title: str, into: Path, *files: str) -> list[Step]:
        raw = results / f"{title.replace(' ', '-')}-raw.json"
        keep = ("-m", "bench.maintenance.throughput", "keep", str(raw), "--into", str(into))
        measured = (*tests(*files), "--benchmark-only", "--benchmark-json", str(raw))
        return [Step(title, measured), Step(f"{title}, stored", keep)]

    cifar, resnet18 = ("--dataset", "cifar10"), ("--backbone", "resnet18")
    # In a folder of its own: the runs on one GPU are recorded already.
    together = run("simclr", *cifar, "--budget", "quick", "--devices", "2", into=results / "two-gpus")
    two = [Step("CIFAR-10, ten epochs, on two GPUs together", together)] if gpus() >= 2 else []
    scale = "tests/throughput/test_scale.py"
    literature = tuple(word for name in LITERATURE for word in ("--protocol", name))
    return [
        Step("tests that need a GPU", tests("tests/execution/test_on_a_gpu.py")),
        Step("sslbench doctor", ("-m", "bench.cli", "doctor")),
        Step("one epoch of CIFAR-10", run("simclr", "supervised", *cifar, "--budget", "smoke")),
        *suite("throughput", results / "throughput", "tests/throughput", "--ignore", scale),
        Step("CIFAR-10, ten epochs, every method, ResNet-18", run("--all", *cifar, "--budget", "quick", *resnet18)),
        Step(
            "CIFAR-10, ten epochs, every method, ViT",
            run("--all", *cifar, "--budget", "quick", "--backbone", "vit_tiny"),
        ),
        Step(
            "CIFAR-10, 200 epochs, first methods",
            run(*FIRST_METHODS, *cifar, "--budget", "standard", *resnet18, *literature),
        ),
        Step(
            "CIFAR-10, 200 epochs, every method", run("--all", *cifar, "--budget", "standard", *resnet18, *literature)
        ),
        Step(
            "FashionMNIST, three seeds",
            run("--all", "--dataset", "fashion_mnist", "--budget", "standard", "--seeds", "3"),
        ),
        *suite("evaluation at scale", results / "throughput" / "at-scale", scale),
        Step("waits inside a step, and the CPU's numbers", tests("tests/gpu_ready/test_steps_on_a_gpu.py")),
        *two,
        Step(
            "CIFAR-10, lightly's table",
            ("-m", "bench.cli", "study", "cifar10-lightly", "--results", str(results), *data),
        ),
    ]


def run_steps(todo: Sequence[Step], minutes: float) -> list[tuple[str, str]]:
    """Run the steps in order until the time is over; return the title of each and how it ended."""
    deadline = time.monotonic() + 60 * minutes
    results = []
    for step in todo:
        seconds_left = deadline - time.monotonic() - GRACE_SECONDS
        if seconds_left <= 0:
            results.append((step.title, "not started"))
            continue
        print(f"== {step.title} ({seconds_left / 60:.1f} minutes left)", flush=True)
        started = time.monotonic()
        end = _run(step, seconds_left)
        results.append((step.title, f"{end} after {time.monotonic() - started:.0f} s"))
    return results


def _run(step: Step, seconds: float) -> str:
    """Run a step for at most the given time; return how it ended."""
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
        return "interrupted"


def archive(results: Path, path: Path) -> None:
    """Pack the records, answers, studies, throughput files and logs of a results folder, without encoders and checkpoints."""
    with tarfile.open(path, "w:gz") as packed:
        for part in ("records", "answers", "studies", "throughput", "logs"):
            if (results / part).is_dir():
                packed.add(results / part, arcname=part)


@app.command()
def measure(
    minutes: Annotated[float, typer.Option(min=1, help="Stop after this many minutes.")] = 30,
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    data_root: Annotated[Path | None, typer.Option(envvar="SSLBENCH_DATA", help="Folder of the data sets.")] = None,
    into: Annotated[Path, typer.Option(help="Archive of the records to write.")] = Path("build/gpu.tar.gz"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the steps.")] = False,
) -> None:
    """Measure on this machine's GPU, and pack the records."""
    todo = steps(results, data_root)
    if dry_run:
        print("\n".join(f"{step.title}: python {' '.join(step.command)}" for step in todo))
        return
    from bench.device import gpus

    if not gpus():
        raise SslbenchError("torch finds no GPU; `sslbench doctor` shows what it finds")
    ends = run_steps(todo, minutes)
    into.parent.mkdir(parents=True, exist_ok=True)
    archive(results, into)
    print("\n".join(f"{title}: {end}" for title, end in ends))


if __name__ == "__main__":
    run_cli(app)
