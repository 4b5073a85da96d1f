"""A run whose command was killed ends soon, whatever it is computing."""

import os
import signal
import subprocess
import sys
import time

from support.starting import clean_environment

COMMAND = """
import multiprocessing, os, time

from bench.orphan import end_with_parent

def endless(connection):
    end_with_parent(grace=0.1)
    connection.send(os.getpid())
    while True:  # never asks whether to stop
        pass

if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    here, there = context.Pipe()
    context.Process(target=endless, args=(there,)).start()
    print(here.recv(), flush=True)
    time.sleep(600)
"""


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_process_of_a_run_ends_when_its_command_is_killed(tmp_path):
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    command = subprocess.Popen(
        [sys.executable, str(script)], env=clean_environment(), stdout=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    run = int(command.stdout.readline())
    assert is_running(run)
    command.send_signal(signal.SIGKILL)
    command.wait()
    deadline = time.monotonic() + 60
    while is_running(run) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(run)
