"""``make gpu``: all steps are valid commands, and the session ends in time."""

import tarfile
import time

import pytest
from typer.testing import CliRunner

from bench.errors import SslbenchError
from bench.maintenance.gpu_session import Step, app, archive, run_steps, steps


@pytest.mark.slow
def test_all_runs_can_be_planned(tmp_path, sslbench):
    runs = [step.command for step in steps(tmp_path, None) if step.command[2:3] == ("run",)]
    assert len(runs) == 6
    studies = [step.command for step in steps(tmp_path, None) if step.command[2:3] == ("study",)]
    assert [words[3] for words in studies] == ["cifar10-lightly"]
    for words in runs:
        # Digits accept the same options and need no files.
        options = ["digits" if word in ("cifar10", "fashion_mnist") else word for word in words[2:]]
        done = sslbench(*options, "--dry-run")
        assert done.returncode == 0, done.stderr


def test_a_step_is_interrupted_when_the_time_is_over_and_the_rest_is_not_started(monkeypatch):
    monkeypatch.setattr("bench.maintenance.gpu_session.GRACE_SECONDS", 0.5)
    endless = Step("endless", ("-c", "import time; time.sleep(100)"))
    started = time.monotonic()
    ends = run_steps(
        [Step("quick", ("-c", "pass")), Step("wrong", ("-c", "raise SystemExit(3)")), endless, endless], 3 / 60
    )
    assert time.monotonic() - started < 30
    assert [end.split(" after")[0] for _, end in ends] == ["done", "failed (exit code 3)", "interrupted", "not started"]


def test_the_archive_has_records_and_no_weights(tmp_path):
    for name in ("records/a.json", "encoders/a.safetensors", "answers/a.npz", "throughput/h.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    archive(tmp_path, tmp_path / "out.tar.gz")
    with tarfile.open(tmp_path / "out.tar.gz") as packed:
        names = {member.name for member in packed if member.isfile()}
    assert names == {"records/a.json", "answers/a.npz", "throughput/h.json"}


def test_without_a_gpu_the_command_fails_with_one_line(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert isinstance(CliRunner().invoke(app, []).exception, SslbenchError)
    assert "CIFAR-10" in CliRunner().invoke(app, ["--dry-run"]).stdout
