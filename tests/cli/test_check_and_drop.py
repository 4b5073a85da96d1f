"""``sslbench check`` tells what a method does wrong; ``sslbench drop`` removes one run and nothing else."""

import copy
import re
from pathlib import Path

import pytest
from support.in_process import perform
from typer.testing import CliRunner

from bench.cli.program import app
from bench.errors import SslbenchError
from bench.records.record import Identity, Record
from bench.records.store import Store
from bench.training import contract
from bench.training.trial import random_images
from methods.byol import BYOL

HEAD = """
from dataclasses import dataclass
import torch
from methods.ranges import Count
from methods.simclr import SimCLR, SimCLRSettings
from methods.base import Loss, Needs


class Mine(SimCLR):
    title = "Mine"
    needs = Needs(backbone="convolutional")
"""


pytestmark = pytest.mark.usefixtures("no_plugins_remain")


def check(tmp_path, body):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + body)
    done = CliRunner().invoke(app, ["check", str(path)])
    failed = [line for line in done.output.splitlines() if line.startswith("failed")]
    # The settings of SimCLR are not the subject here.
    return done.exit_code, [line for line in failed if "settings are frozen" not in line], done.output


def test_each_verdict_of_a_sound_method_is_one_line(tmp_path):
    _, failed, output = check(tmp_path, "")
    assert failed == []
    lines = output.splitlines()
    assert len(lines) == 7 and all(re.match(r"(ok|failed)  ", line) for line in lines)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    def after_steps(self, progress):\n        pass\n", "the contract's name is `after_step`"),
        ("    def afterStep(self, progress):\n        pass\n", "the contract's name is `after_step`"),
        (
            "    @classmethod\n    def views(cls, settings, traits):\n"
            "        import torchvision.transforms.v2 as T\n        inner = super().views(settings, traits)\n"
            "        return lambda image: [2 * v - 1 for v in inner(image)]\n",
            r"view 0 has values from -\S+ to \S+; they must be in \[0, 1\]",
        ),
        (
            "    def forward(self, batch, progress):\n        return super().forward(batch, progress).total\n",
            "forward returned a Tensor; it must return Loss",
        ),
        (
            "    def __init__(self, *arguments):\n        super().__init__(*arguments)\n        self.unused = torch.nn.Linear(3, 3)\n",
            "unused.weight: gets no gradient",
        ),
        (
            "    def forward(self, batch, progress):\n        loss = super().forward(batch, progress)\n"
            "        self.count = getattr(self, 'count', 0) + 1\n        return Loss(loss.total * self.count, loss.parts)\n",
            "the loss 1 steps after loading is",
        ),
        (
            "    def forward(self, batch, progress):\n        loss = super().forward(batch, progress)\n"
            "        return Loss(loss.total / (not torch.is_autocast_enabled('cpu')), loss.parts)\n",
            "the loss became inf in step 1 under bf16",
        ),
        (
            "    def encoder(self):\n        return super().encoder().train()\n\n    def eval(self):\n        raise SystemExit(0)\n",
            r"mine\.py, line \d+: SystemExit: 0",
        ),
    ],
)
def test_check_says_what_is_wrong_and_where(tmp_path, body, message):
    code, failed, _ = check(tmp_path, body)
    assert code == 1
    assert re.search(message, "\n".join(failed)), failed


class FrozenByNothing(BYOL):
    """The teacher is a copy that still takes gradients."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.teacher.requires_grad_(True)


class UnnamedTeacher(BYOL):
    """The same, under another name."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.slow = copy.deepcopy(self.projection)

    def forward(self, batch, progress):
        loss = super().forward(batch, progress)
        return loss._replace(total=loss.total + 1e-3 * self.slow(self.backbone(batch.views[0])).float().square().mean())

    def after_step(self, progress):
        super().after_step(progress)
        for p, q in zip(self.slow.parameters(), self.projection.parameters(), strict=True):
            p.data.lerp_(q.data, 0.1)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (FrozenByNothing, r"teacher\S+: a teacher must not get a gradient"),
        (UnnamedTeacher, r"slow\S+: starts as a copy of projection\S+, and after_step changes it as well"),
    ],
)
def test_a_teacher_that_takes_gradients_is_found(method, message):
    trial = contract.Trial(method, "resnet9_slim", random_images())
    with pytest.raises(SslbenchError, match=message):
        contract.steps_change_what_learns(trial)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("simclrr", "did you mean 'simclr'"),
        ("nowhere.py", "no such file"),
        ("timm:resnet18", "only methods are checked"),
    ],
)
def test_check_of_something_else_is_bad_input(argument, message):
    done = CliRunner().invoke(app, ["check", argument])
    assert isinstance(done.exception, SslbenchError)
    assert message in str(done.exception)


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_drop_removes_all_files_of_one_run_and_says_which(tmp_path):
    store = Store(tmp_path)
    perform(store, "random_init", budget="smoke")
    kept = files_of(tmp_path)
    perform(store, "simclr", budget="smoke", snapshots=1)
    added = files_of(tmp_path) - kept
    done = CliRunner().invoke(app, ["drop", "simclr", "--results", str(tmp_path), "--yes"])
    assert done.exit_code == 0, done.output
    assert files_of(tmp_path) == kept
    assert {
        str(Path(line.removeprefix("removed ")).relative_to(tmp_path)) for line in done.output.splitlines()
    } == added


def failed_record(store: Store) -> Identity:
    identity = Identity("digits", "f00d", "test", "simclr", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)
    store.write(Record(identity, "failed", "ValueError: a bad line", curve={"loss": [float("nan")]}))
    return identity


def test_drop_asks_and_removes_nothing_without_a_yes(tmp_path):
    store = Store(tmp_path)
    identity = failed_record(store)
    for answer in ("n\n", ""):
        done = CliRunner().invoke(app, ["drop", "simclr", "--results", str(tmp_path)], input=answer)
        assert done.exit_code == 1
        assert "simclr/seed-0 (failed)" in done.output
        assert store.record_path(identity).exists()
    assert CliRunner().invoke(app, ["drop", "simclr", "--results", str(tmp_path)], input="y\n").exit_code == 0
    assert not store.record_path(identity).exists()


def test_a_run_of_another_process_is_not_dropped(tmp_path):
    store = Store(tmp_path)
    identity = failed_record(store)
    with store.claim(identity):
        done = CliRunner().invoke(app, ["drop", "simclr", "--results", str(tmp_path), "--yes"])
    assert isinstance(done.exception, SslbenchError)
    assert "another process is carrying out this run" in str(done.exception)
    assert store.record_path(identity).exists()


def test_a_copy_of_a_record_at_another_place_is_not_dropped_with_the_run(tmp_path):
    store = Store(tmp_path)
    path = store.record_path(failed_record(store))
    copied = path.with_name("seed-7.json")
    path.rename(copied)
    done = CliRunner().invoke(app, ["drop", "seed-7", "--results", str(tmp_path), "--yes"])
    assert isinstance(done.exception, SslbenchError)
    assert copied.exists()
