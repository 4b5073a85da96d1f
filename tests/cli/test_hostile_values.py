"""Hostile values of every option and argument of every command end with one line or with a plan, never with a traceback."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from support.study_file import study_text

from bench.cli.program import app, run_program
from bench.printable import LONGEST

VALUES = {
    "empty": "",
    "space": " ",
    "superscript": "²",
    "arabic digit": "٣",
    "negative": "-1",
    "zero": "0",
    "float": "0.5",
    "infinite": "1e999",
    "not a number": "nan",
    "huge": "9" * 30,
    "thousands of digits": "9" * 5000,
    "ten million": "10000000",
    "long": "a" * 80_000,
    "escape": "\x1b[31mred\x1b[0m",
    "newline": "a\nb",
    "right to left": "\u202egnp.exe",
    "surrogate": "\udcff",
    "null": "a\0b",
    "markup": "[bold]a[/nothing]",
    "unclosed": "[",
    "braces": "{[]:1}",
    "nested": "(" * 300,
    "minus signs": "x=" + "-" * 400 + "1",
    "no such user": "~nosuchuser/x",
    "device": "/dev/full",
    "null device": "/dev/null",
    "other user": "/proc/1/x",
    "folder": "folder:",
    "folder of a user": "folder:~nosuchuser",
    "long folder": "folder:/" + "a" * 5000,
    "deep path": "/".join("a" * 3000),
    "checkpoint": "checkpoint:",
    "timm": "timm:",
    "at": "knn@",
    "many labels": "lowshot-" + "9" * 300,
    "setting": "a=b",
    "equals": "=",
    "cuda": "cuda:" + "9" * 5000,
    "python file": "nowhere.py",
    "text file": "nowhere.toml",
}
STUDY = study_text()
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
COMPUTES_NOTHING = {
    "run": ["pixels", "--protocol", "knn", "--device", "cpu", "--dry-run"],
    "study": ["small.toml", "--budget", "smoke", "--device", "cpu", "--dry-run"],
    "show": ["simclr"],
    "export": ["simclr", "encoder.safetensors"],
    "embed": ["simclr", "nowhere"],
    "inspect": ["nowhere"],
    "compare": ["results", "results"],
    "list": ["studies"],
}
"""Arguments with which a command computes nothing; a hostile value is added or replaces an argument."""


def cases(command: str) -> Iterator[tuple[str, list[str]]]:
    """Each way to give a command a value: as an option, or instead of an argument."""
    usual = COMPUTES_NOTHING.get(command, [])
    position = 0
    for parameter in COMMANDS[command].params:
        if parameter.param_type_name == "argument":
            before, after = usual[:position], usual[position + 1 :]
            yield parameter.name or "", [*before, "VALUE", *after]
            position += 1
        elif not parameter.is_flag:
            yield parameter.opts[0], [*usual, f"{parameter.opts[0]}=VALUE"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_value_of_an_option_gives_a_traceback(command, tmp_path, monkeypatch, capsys, recorded):
    shutil.copytree(recorded, tmp_path / "results")
    (tmp_path / "small.toml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    for parameter, arguments in cases(command):
        for name, value in VALUES.items():
            given = [command, *(argument.replace("VALUE", value) for argument in arguments)]
            code = run_program(given)
            shown = capsys.readouterr()
            where = f"{command} {parameter} {name}: {shown.err[:500]}"
            assert code in (0, 1, 2), where
            assert "Traceback" not in shown.out + shown.err, where
            assert all(character.isprintable() or character == "\n" for character in shown.err), where
            if code == 2 and command != "doctor":
                lines = [line for line in shown.err.splitlines() if line.startswith("sslbench: ")]
                assert len(lines) >= 1, where
                assert len(lines[-1]) < LONGEST + 100, where
            assert stat.S_ISCHR(Path("/dev/null").stat().st_mode), f"{where}: the device was replaced by a file"


@pytest.mark.parametrize("name", ["COLUMNS", "LINES", "TERMINAL_WIDTH"])
@pytest.mark.parametrize("value", ["abc", "²", "-5", "9" * 5000, "1e3"])
def test_an_environment_variable_that_is_no_number_is_a_one_line_error(name, value, monkeypatch, capsys):
    monkeypatch.setenv(name, value)
    assert run_program(["list", "studies"]) == 2
    assert capsys.readouterr().err.startswith(f"sslbench: {name}=")


@pytest.mark.parametrize("value", ["0", "1", "20", "99999"])
def test_any_width_of_the_terminal_can_be_used(value, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", value)
    assert run_program(["list", "studies"]) == 0


@pytest.mark.parametrize("value", ["-1", "nan", "²", "x"])
def test_a_checkpoint_interval_that_is_no_number_of_seconds_is_a_one_line_error(value, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("SSLBENCH_CHECKPOINT_SECONDS", value)
    assert run_program(["run", "pixels", "--dry-run", f"--results={tmp_path}"]) == 2
    assert "must be a number of seconds" in capsys.readouterr().err


def test_the_version_is_shown(capsys):
    assert run_program(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sslbench ")


def test_the_help_of_every_command_is_shown(capsys):
    for command in COMMANDS:
        assert run_program([command, "--help"]) == 0
        assert "Usage" in capsys.readouterr().out


def test_without_arguments_the_help_is_shown(capsys):
    assert run_program([]) == 0
    assert "Usage" in capsys.readouterr().out


@pytest.fixture(autouse=True)
def same_streams():
    """The program prepares standard output and error; restore them for the other tests."""
    before = sys.stdout, sys.stderr
    variables = dict(os.environ)
    yield
    sys.stdout, sys.stderr = before
    os.environ.clear()
    os.environ.update(variables)
