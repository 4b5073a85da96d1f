"""Speed of the training step of methods in two checkouts, measured in turns.

Command: ``python -m bench.maintenance.step_speed OLD_CHECKOUT [METHOD]...``. One process per checkout trains the same method on the same random
images; they take turns of a few steps, so that whatever else the machine does slows both.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.errors import SslbenchError, run_cli

ROOT = Path(__file__).parents[2]
SLOWEST = 0.97
"""A method is reported as slower below this speed, relative to the other checkout."""
CHILD = """
import sys, time, torch
from bench.registry.methods import load_method
from bench.training.trial import Trial, random_images
name, backbone, size, batch, steps = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
torch.set_num_threads(1)
trial = Trial(load_method(name), backbone, random_images(batch, size, batch=batch))
method = trial.method().train()
optimizer = trial.optimizer(method)
trial.step(method, optimizer, 0)
print("ready", flush=True)
for _ in sys.stdin:
    started = time.perf_counter()
    for _ in range(steps):
        trial.step(method, optimizer, 0)
    print(time.perf_counter() - started, flush=True)
"""
"""Uses only what every checkout has had since its methods could be tried (``bench/training/trial.py``)."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Checkout:
    """A process that trains one method with the code of one checkout."""

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._line() != "ready":
            raise SslbenchError(f"{folder} cannot train {' '.join(arguments)}; its output is above")

    def seconds(self) -> float:
        """Train for one turn and return its seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._line())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def speed(old: Path, new: Path, arguments: list[str], turns: int) -> float:
    """Return the speed of ``new`` relative to ``old``: the median over turns of old seconds divided by new seconds."""
    checkouts = [Checkout(folder, arguments) for folder in (old, new)]
    try:
        ratios = []
        for turn in range(turns):
            # Who begins changes, so that a drift of the machine's speed cancels out.
            first, second = checkouts if turn % 2 == 0 else reversed(checkouts)
            seconds = {id(first): first.seconds(), id(second): second.seconds()}
            ratios.append(seconds[id(checkouts[0])] / seconds[id(checkouts[1])])
        return statistics.median(ratios)
    finally:
        for checkout in checkouts:
            checkout.close()


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="The other checkout.", exists=True, file_okay=False)],
    methods: Annotated[list[str] | None, typer.Argument(help="Methods; default: all that are trained.")] = None,
    turns: Annotated[int, typer.Option(min=3, help="Turns of each checkout.")] = 15,
    steps: Annotated[int, typer.Option(min=1, help="Steps per turn.")] = 3,
    size: Annotated[int, typer.Option(min=8, help="Side of the images in pixels.")] = 32,
    batch: Annotated[int, typer.Option(min=2, help="Images per step.")] = 256,
) -> None:
    """Print the speed of each method's step relative to the other checkout; exit with 1 if a method is slower than 0.97."""
    from bench.registry.methods import load_method, method_names

    slower = []
    for name in methods or [name for name in method_names() if load_method(name).needs.training]:
        backbone = "vit_nano" if load_method(name).needs.backbone == "transformer" else "resnet9_slim"
        found = speed(old.resolve(), ROOT, [name, backbone, str(size), str(batch), str(steps)], turns)
        print(f"{name:14} {backbone:13} {found:.3f}", flush=True)
        if found < SLOWEST:
            slower.append(name)
    if slower:
        raise SslbenchError(f"slower than {SLOWEST} of {old}: {', '.join(slower)}")


if __name__ == "__main__":
    run_cli(app)
