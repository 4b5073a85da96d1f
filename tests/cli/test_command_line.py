"""The command line as a user types it: errors of one line and exit code 2, and a quick start."""

import json
import subprocess
import sys

import pytest
from support.starting import clean_environment

from bench.cli.app import main

MISTAKES = [
    (["run"], "name methods"),
    (["run", "simclr", "--all"], "not both"),
    (["run", "simclrr"], "did you mean 'simclr'"),
    (["run", "simclr", "--dataset", "digit"], "did you mean 'digits'"),
    (["run", "simclr", "--dataset", "folder:nowhere"], "nowhere"),
    (["run", "simclr", "--dataset", "kmnist"], "--data-root"),
    (["run", "simclr", "--budget", "standart"], "did you mean 'standard'"),
    (["run", "simclr", "--protocol", "knnn"], "did you mean"),
    (["run", "simclr", "--protocol", "lowshot-500"], "class"),
    (["run", "simclr", "--backbone", "resnet9slim"], "did you mean 'resnet9_slim'"),
    (["run", "simclr", "--set", "temprature=1"], "did you mean 'temperature'"),
    (["run", "simclr", "--set", "temperature=warm"], "takes float"),
    (["run", "simclr", "--set", "temperature"], "KEY=VALUE"),
    (["run", "simclr", "--device", "cuda:7"], "not there"),
    (["run", "simclr", "--jobs", "many"], "--jobs"),
    (["run", "simclr", "--batch-size", "100000"], "--batch-size"),
    (["run", "simclr", "--seed", "1", "--seeds", "2"], "give one of the two"),
    (["run", "simclr", "--plugin", "nowhere.py"], "no such file"),
    (["run", "simclr", "--results", "/proc/results"], "cannot be written"),
    (["leaderboard", "--sort", "knnn", "--results", "RECORDED"], "did you mean 'knn'"),
    (["leaderboard", "--dataset", "digit", "--results", "RECORDED"], "did you mean 'digits'"),
    (["show", "simclrr", "--results", "RECORDED"], "simclr"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_code_2(recorded, arguments, message, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["sslbench", *(str(recorded) if a == "RECORDED" else a for a in arguments)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    line = capfd.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("sslbench: ")
    assert message in line


def test_a_mistake_shows_no_traceback(sslbench):
    done = sslbench("run", "simclrr")
    assert done.returncode == 2
    assert (
        done.stderr
        == "sslbench: unknown method 'simclrr': did you mean 'simclr'? (`sslbench list methods` lists them)\n"
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["leaderboard"], ["show", "simclr"]])
def test_what_starts_quickly_imports_no_torch(recorded, arguments):
    code = f"""
import sys
from bench.cli import app
sys.argv = ["sslbench", *{arguments!r}]
try:
    app.main()
except SystemExit:
    print("torch" in sys.modules, "scipy.stats" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=recorded.parent, env=clean_environment(), capture_output=True, text=True
    )
    assert done.stderr.strip().splitlines()[-1] == "False False", done.stderr


@pytest.mark.parametrize("kind", ["methods", "protocols", "datasets", "backbones"])
def test_lists_are_json_on_request(sslbench, kind):
    rows = json.loads(sslbench("list", kind, "--format", "json").stdout)
    assert len(rows) >= 5
    assert all(row.keys() == rows[0].keys() for row in rows)


def test_a_dry_run_prints_the_plan_and_writes_nothing(sslbench, tmp_path):
    done = sslbench("run", "pixels", "random_init", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "2 to do" in done.stdout
    assert list(tmp_path.iterdir()) == []
