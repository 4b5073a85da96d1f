"""A failure in one run is recorded with its cause, the other runs continue, and the exit code is 1."""

import json
import re
import resource
import subprocess

import pytest
from support.breaking_plugin import write_plugin
from support.starting import clean_environment, command

from bench.atomic import _host

pytestmark = pytest.mark.slow


def plugin(folder, name, statement):
    return ("--plugin", write_plugin(folder, name, statement))


def test_failures_are_recorded_and_the_other_runs_continue(sslbench, tmp_path):
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
    assert found["raising"] == (
        "failed",
        "ValueError: a bad line (raising.py, line 13, in forward; batch.views: 2 (256×1×8×8, 256×1×8×8))",
    )
    assert found["starving"] == ("failed", "out of memory: no room")
    assert found["dying"][0] == "failed"
    assert "died" in found["dying"][1]
    assert found["exploding"][0] == "diverged"
    assert found["pixels"] == ("ok", None)
    # A plugin's folder carries the hash of its content: raising@362eefd20802.
    folder = tmp_path / "results" / "logs"
    logs = {path.parent.name.partition("@")[0]: path.read_text() for path in folder.rglob("*.log")}
    assert re.search(r"failed: ValueError: a bad line \(.*\); traceback in \S+raising@\w+/seed-0.log", done.stdout)
    assert "ValueError: a bad line" in logs["raising"].partition("Traceback (most recent call last)")[2]
    assert "the run's process died" in logs["dying"].splitlines()[-1]
    assert "Traceback" not in logs["dying"] + logs["exploding"] + logs["pixels"]
    for name in names[:-1]:
        assert re.search(rf"^{name}@\w+ \({found[name][0]}\)", done.stdout, re.MULTILINE)

    again = sslbench("run", *names, "--budget", "smoke", "--protocol", "knn", *plugins, "--dry-run")
    assert "5 runs, 2 recorded, 3 to do" in again.stdout


def test_a_full_disk_is_a_one_line_error_and_leaves_no_partial_file(tmp_path):
    done = subprocess.run(
        command("run", "random_init", "--budget", "smoke", "--protocol", "knn", "--results", str(tmp_path)),
        env=clean_environment(),
        # A limit on the file size simulates a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert re.fullmatch(r"sslbench: cannot write \S+safetensors: File too large; .*\n", done.stderr)
    log = next(tmp_path.rglob("seed-0.log"))
    assert "given up: cannot write" in log.read_text().splitlines()[-1]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path != log] == ["seed-0.lock"]


def test_a_damaged_encoder_is_that_run_s_trouble_and_temporary_files_are_removed(sslbench, tmp_path):
    run = ("run", "random_init", "--budget", "smoke", "--protocol")
    assert sslbench(*run, "knn").returncode == 0
    (encoder,) = (tmp_path / "results" / "encoders").rglob("*.safetensors")
    (record,) = (tmp_path / "results" / "records").rglob("*.json")
    encoder.write_bytes(encoder.read_bytes()[:1000])
    leftover = encoder.with_name(f".{encoder.name}.{_host()}-999999999.abc.tmp")
    leftover.touch()
    done = sslbench(*run, "linear")
    assert done.returncode == 0, done.stderr
    assert re.search(r"encoder \S+safetensors cannot be read .*: renamed to \S+damaged-1; the run starts", done.stdout)
    assert {"knn", "linear"} <= json.loads(record.read_text())["protocols"].keys()
    assert not leftover.exists()
