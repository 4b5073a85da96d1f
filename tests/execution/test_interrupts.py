"""Ctrl-C while modules are imported ends the command without a traceback."""

import subprocess
import sys

import pytest
from support.starting import clean_environment

IMPORTING = """
import sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupt())
from bench.cli import main
sys.argv = ["sslbench", "run", "pixels", "--dry-run"]
main()
"""
FORK_SERVER = """
import os, signal
from bench.execution.worker import _fork_server, start_fork_server

if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)
    start_fork_server()
    os.killpg(os.getpgrp(), signal.SIGINT)  # the server is still importing torch
    process = _fork_server().Process(target=print, args=("alive",))
    process.start()
    process.join()
"""


@pytest.mark.parametrize("module", ["typer", "bench.cli.program", "bench.execution.session", "torch"])
def test_an_interrupted_import_ends_with_code_130_and_no_traceback(module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING.format(module=module)],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 130
    assert done.stderr in ("", "sslbench: stopped; run the same command again to continue\n")


@pytest.mark.slow
def test_the_process_that_imports_for_the_runs_ignores_an_interrupt(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(FORK_SERVER)
    done = subprocess.run(
        [sys.executable, str(script)], env=clean_environment(), capture_output=True, text=True, start_new_session=True
    )
    assert done.stdout == "alive\n", done.stderr
    assert "Traceback" not in done.stderr
