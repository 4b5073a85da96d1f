"""``--devices``: runs on two processes, stopped and resumed on one; failures, kills, and values that make no sense."""

import math
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.breaking_plugin import write_plugin
from support.in_process import KNN, context_of, options_of
from support.starting import clean_environment, command

from bench import cli
from bench.device import check_devices, cores, runs_side_by_side, threads_of_process
from bench.errors import SslbenchError, Stopped
from bench.execution.run import execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Record
from bench.registry.plugins import load_plugin
from methods.base import Needs
from methods.simclr import SimCLR

needs_two_cores = pytest.mark.skipif(cores() < 2, reason="a device of a CPU is a core")


def run(
    results: Path,
    devices: int,
    seed: int = 0,
    stop_at: float = math.inf,
    method: str = "simclr",
    plugins: tuple[str, ...] = (),
) -> Record:
    """Carry out one run on digits in this process and ``devices - 1`` others."""
    options = replace(options_of(results, plugins=plugins), devices=devices)
    request = Request(methods=[method], protocols=KNN, budget="smoke", seeds=[seed])
    (planned,) = plan_runs(request, options).runs
    steps: list[int] = []
    context = context_of(
        options, keep_going=lambda: len(steps) < stop_at, on_progress=lambda progress: steps.append(progress.done)
    )
    record = execute(planned, options.dataset.load(), context)
    assert record is not None
    return record


def ends(condition: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Wait until a condition is true; return whether it became true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def is_empty(group: int) -> bool:
    """Whether no process of a process group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.mark.slow
@needs_two_cores
def test_two_devices_score_within_the_spread_of_one_also_when_one_continues_what_two_began(tmp_path):
    alone = [run(tmp_path / "one", 1, seed) for seed in range(3)]
    both = run(tmp_path / "two", 2)
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", 2, stop_at=4)
    continued = run(tmp_path / "stopped", 1)
    assert both.identity == continued.identity == alone[0].identity
    assert [record.environment["devices"] for record in (alone[0], both, continued)] == [1, 2, 1]
    scores = [record.protocols["knn"].metrics["top1"] for record in alone]
    spread = max(0.02, max(scores) - min(scores))
    for record in (both, continued):
        assert record.status == "ok"
        assert record.protocols["knn"].metrics["top1"] == pytest.approx(scores[0], abs=spread)
        assert record.curve["loss"] == pytest.approx(alone[0].curve["loss"], rel=0.01)


@pytest.mark.slow
@needs_two_cores
@pytest.mark.parametrize(
    ("name", "statement", "cause"),
    [
        (
            "killed",
            "torch.distributed.get_rank() and os.kill(os.getpid(), signal.SIGKILL)",
            "the process of device 1 died (exit code -9",
        ),
        (
            "unlike",
            "if torch.distributed.get_rank(): raise ValueError('a bad line')",
            "device 1: ValueError: a bad line (unlike.py",
        ),
        ("alike", "raise ValueError('a bad line')", "ValueError: a bad line (alike.py"),
        ("exploding", "return Loss(loss.total * float('nan'), {})", "loss became nan"),
    ],
)
def test_a_failure_in_any_process_ends_all_and_is_recorded(tmp_path, only_the_catalogue, name, statement, cause):
    plugin = str(tmp_path / write_plugin(tmp_path, name, statement))
    load_plugin(plugin)
    record = run(tmp_path / "results", 2, method=name, plugins=(plugin,))
    assert record.status == ("diverged" if name == "exploding" else "failed")
    assert record.cause is not None
    assert record.cause.startswith(cause)


@pytest.mark.slow
@needs_two_cores
def test_no_process_is_left_when_the_command_is_killed(tmp_path):
    arguments = (
        "run",
        "simclr",
        "--budget",
        "200ep",
        "--devices",
        "2",
        "--protocol",
        "knn",
        "--results",
        str(tmp_path),
    )
    environment = clean_environment(SSLBENCH_CHECKPOINT_SECONDS="0")
    with subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert ends(lambda: bool(list((tmp_path / "checkpoints").rglob("*.pt"))), 240.0)
        process.send_signal(signal.SIGKILL)
    assert ends(lambda: is_empty(process.pid))


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "²", " 2", "99999"])
def test_numbers_of_devices_that_make_no_sense_are_a_one_line_error(text, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sslbench", "run", "simclr", f"--devices={text}"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"sslbench: --devices {text}: must be auto or a positive integer\n"


def test_more_devices_than_cores_are_refused():
    check_devices(cores(), "cpu")
    with pytest.raises(SslbenchError, match=f"this machine has {cores()} core"):
        check_devices(cores() + 1, "cpu")


@pytest.mark.parametrize(
    ("needs", "devices", "message"),
    [
        (
            Needs(one_device="it counts its calls"),
            2,
            "method simclr is trained on one device only .it counts its calls.; remove",
        ),
        (Needs(), 257, "a batch of 256 images cannot be divided; give at most 256"),
    ],
)
def test_a_method_that_cannot_be_divided_is_refused(tmp_path, monkeypatch, needs, devices, message):
    monkeypatch.setattr(SimCLR, "needs", needs)
    options = replace(options_of(tmp_path), devices=devices)
    with pytest.raises(SslbenchError, match=message):
        plan_runs(Request(methods=["simclr"], protocols=KNN, budget="smoke"), options)


def test_a_run_on_two_devices_takes_the_cores_of_two_runs_and_shares_its_threads():
    assert runs_side_by_side("cpu", 8, 2) == max(1, cores() // 2)
    assert runs_side_by_side("cpu", 28, 2) == 1
    assert [threads_of_process(4, devices) for devices in (1, 2, 3, 8)] == [4, 2, 1, 1]
