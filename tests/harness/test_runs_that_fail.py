"""What goes wrong in one run costs that run alone: a record with its cause, the others go on, exit code 1."""

import json
import textwrap

import pytest

pytestmark = pytest.mark.slow

BROKEN = """
import os, signal
from typing import ClassVar
from methods.base import Loss
from methods.{parent} import {parent_class}

class {name}({parent_class}):
    title: ClassVar[str] = "{name}"

    def forward(self, batch, progress):
        loss = super().forward(batch, progress)
        if progress > 0.4:
            {what}
        return loss
"""


def plugin(folder, name, what):
    source = textwrap.dedent(BROKEN).format(name=name.title(), parent="simclr", parent_class="SimCLR", what=what)
    (folder / f"{name}.py").write_text(source)
    return ("--plugin", f"{name}.py")


def test_failures_become_records_and_the_others_go_on(sslbench, tmp_path):
    plugins = [
        *plugin(tmp_path, "raising", "raise ValueError('a bad line')"),
        *plugin(tmp_path, "starving", "raise MemoryError('no room')"),
        *plugin(tmp_path, "dying", "os.kill(os.getpid(), signal.SIGKILL)"),
        *plugin(tmp_path, "exploding", "return Loss(loss.total * float('nan'), {})"),
    ]
    names = ("raising", "dying", "starving", "exploding", "pixels")
    done = sslbench("run", *names, "--budget", "smoke", "--protocol", "knn", *plugins)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    found = {}
    for path in (tmp_path / "results" / "records").rglob("*.json"):
        record = json.loads(path.read_text())
        found[record["identity"]["method"]] = (record["status"], record["cause"])
    assert found["raising"] == ("failed", "ValueError: a bad line")
    assert found["starving"] == ("failed", "out of memory: no room")
    assert found["dying"][0] == "failed"
    assert "died" in found["dying"][1]
    assert found["exploding"][0] == "diverged"
    assert found["pixels"] == ("ok", None)
    for name in names[:-1]:
        assert f"{name} {found[name][0]}" in done.stdout or f"{name} ({found[name][0]})" in done.stdout

    again = sslbench("run", *names, "--budget", "smoke", "--protocol", "knn", *plugins, "--dry-run")
    assert "5 runs, 2 recorded, 3 to do" in again.stdout
