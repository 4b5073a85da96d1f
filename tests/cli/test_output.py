"""Standard output that is closed, full, or has an encoding without the characters of a table."""

import os
import subprocess
import sys

import pytest
from support.starting import clean_environment, command

LIST = command("list", "protocols")


def test_a_full_device_is_a_one_line_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(LIST, env=clean_environment(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "sslbench: cannot write the output: No space left on device\n"


def test_a_reader_that_stops_early_ends_the_command_silently():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(LIST, env=clean_environment(), stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert done.returncode == 1
    assert done.stderr == ""


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_are_no_error(closed):
    code = f"import os\nfor n in {closed}: os.close(n)\nos.execv({sys.executable!r}, {LIST!r})"
    assert subprocess.run([sys.executable, "-c", code], env=clean_environment(), capture_output=True).returncode == 0


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
    ],
    ids=str,
)
def test_a_table_is_printed_in_any_encoding(variables):
    environment = clean_environment(**variables)
    done = subprocess.run(command("list", "backbones"), env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"ResNet-18, 3x3 stem" in done.stdout or "ResNet-18, 3×3 stem" in done.stdout.decode(
        "latin-1" if "latin-1" in variables.values() else "utf-8"
    )


def test_a_run_is_planned_in_an_ascii_locale(tmp_path):
    environment = clean_environment(PYTHONIOENCODING="ascii")
    done = subprocess.run(
        command("run", "pixels", "--dry-run", "--protocol", "knn", "--results", str(tmp_path)),
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "8x8 pixels" in done.stdout
