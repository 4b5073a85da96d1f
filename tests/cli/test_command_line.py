"""The command line: one-line errors with exit code 2, quick start, and old spellings."""

import json
import subprocess
import sys

import pytest
from support.starting import clean_environment

from bench.cli import main
from bench.cli.old_spellings import translated

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
    (["run", "simclr", "--device", "cuda:7"], "does not exist"),
    (["run", "simclr", "--jobs", "many"], "--jobs"),
    (["run", "simclr", "--batch-size", "100000"], "--batch-size"),
    (["run", "simclr", "--seed", "1", "--seeds", "2"], "give one of the two"),
    (["run", "simclr", "--plugin", "nowhere.py"], "no such file"),
    (["run", "simclr", "--results", "/proc/results"], "cannot be written"),
    (["leaderboard", "--format", "jsn", "--results", "RECORDED"], "did you mean 'json'"),
    (["compare", "nowhere", "RECORDED"], "no records in nowhere"),
    (["study", "autoencoder-mnits", "--show"], "did you mean 'autoencoder-mnist'"),
    (["study", "autoencoder-mnist", "--show", "--seeds", "2"], "--show runs nothing"),
    (["study", "autoencoder-mnist", "--format", "json"], "only with --show"),
    (["leaderboard", "--sort", "knnn", "--results", "RECORDED"], "did you mean 'knn'"),
    (["leaderboard", "--dataset", "digit", "--results", "RECORDED"], "did you mean 'digits'"),
    (["show", "simclrr", "--results", "RECORDED"], "simclr"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_a_one_line_error_with_exit_code_2(recorded, arguments, message, tmp_path, monkeypatch, capfd):
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


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["study", "--help"], ["leaderboard"], ["show", "simclr"]]
)
def test_help_and_tables_do_not_import_torch(recorded, arguments):
    code = f"""
import sys
from bench.cli import main
sys.argv = ["sslbench", *{arguments!r}]
try:
    main()
except SystemExit:
    print("torch" in sys.modules, "scipy.stats" in sys.modules, file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=recorded.parent, env=clean_environment(), capture_output=True, text=True
    )
    assert done.stderr.strip().splitlines()[-1] == "False False", done.stderr


@pytest.mark.parametrize("kind", ["methods", "protocols", "datasets", "backbones"])
def test_lists_can_be_printed_as_json(sslbench, kind):
    rows = json.loads(sslbench("list", kind, "--format", "json").stdout)
    assert len(rows) >= 5
    assert all(row.keys() == rows[0].keys() for row in rows)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("run --study NAME --budget smoke", "study NAME --budget smoke"),
        ("run --study=NAME", "study NAME"),
        ("leaderboard --study NAME --format json", "study NAME --show --format json"),
        ("leaderboard --compare B", "compare results B"),
        ("leaderboard --results A --dataset digits --compare B", "compare A B --dataset digits"),
        ("run simclr --budget smoke", "run simclr --budget smoke"),
        ("leaderboard --dataset digits", "leaderboard --dataset digits"),
        ("", ""),
    ],
)
def test_old_spellings_are_translated_to_current_commands(old, new):
    assert translated(old.split()) == new.split()


def test_an_old_spelling_works_with_the_options_of_its_command_only(sslbench, recorded):
    folders = ("--results", str(recorded), "--compare", str(recorded))
    done = sslbench("leaderboard", *folders)
    assert done.returncode == 0, done.stderr
    assert "reproduced within noise: 2 of 2" in done.stdout
    assert sslbench("leaderboard", *folders, "--all-protocols").returncode == 2
    assert "--compare" not in sslbench("leaderboard", "--help").stdout
    assert "--study" not in sslbench("run", "--help").stdout


def test_a_dry_run_prints_the_plan_and_writes_nothing(sslbench, tmp_path):
    done = sslbench("run", "pixels", "random_init", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "2 to do" in done.stdout
    assert list(tmp_path.iterdir()) == []
