"""Files of measured speeds: from what pytest-benchmark writes to figures, sentences and comparisons."""

import json

import pytest
from support.starting import ROOT
from typer.testing import CliRunner

from bench.errors import SslbenchError
from bench.maintenance.throughput import app, file_name, from_benchmark, slower
from bench.maintenance.throughput_report import to_markdown, worth_saying


def piece(group, what, engine, seconds, **facts):
    """One entry as pytest-benchmark writes it."""
    return {
        "group": group,
        "stats": {"median": seconds, "iqr": seconds / 100, "rounds": 5},
        "extra_info": {"what": what, "engine": engine, "images": 256} | facts,
    }


def raw(*pieces):
    packages = {"torch": "2.15.0", "lightly": "1.6.0"}
    machine = {"device": "2 cores", "processor": "A CPU", "packages": packages, "load_before": 0.1}
    return {
        "machine_info": machine,
        "commit_info": {"id": "abc"},
        "datetime": "2026-11-24T02:00:00",
        "benchmarks": list(pieces),
    }


END = "end to end: SimCLR"
KNOWN = raw(
    piece(END, "simclr", "bare step", 0.18),
    piece(END, "simclr", "harness", 0.2),
    piece(END, "simclr", "lightly, 32-true", 0.6),
    piece("views: grey", "simclr", "batched", 0.01),
    piece("views: grey", "simclr", "per sample", 0.08),
    piece("views: grey", "dino", "batched", 0.02),
    piece("views: grey", "dino", "per sample", 0.06),
)


def test_the_sentences_are_the_ratios():
    said = worth_saying(from_benchmark(KNOWN))
    assert "SimCLR: 1,280 images/s, 3.00 times lightly, 32-true, 90% of a bare step" in said
    assert "grey: batched 5.5 times (least 3.0, dino; 2 pipelines) views one by one" in said


def test_lightlys_epochs_count_as_often_as_they_are_run():
    group, what = "evaluation: knn and linear", "FashionMNIST"
    said = worth_saying(
        from_benchmark(
            raw(
                piece(group, what, "sslbench", 30.0, top1={"knn": 85.0, "linear": 88.0}),
                piece(group, what, "lightly KNNClassifier", 60.0, top1={"knn": 84.0}),
                piece(group, what, "lightly LinearClassifier", 30.0, times=90),
                piece(group, what, "lightly LinearClassifier on stored features", 9.0, top1={"linear": 87.0}),
            )
        )
    )
    assert "30 s, 92 times as fast" in said
    assert "knn 85.0 against 84.0; linear 88.0 against 87.0" in said


def test_on_a_gpu_the_devices_own_clock_counts():
    found = from_benchmark(raw(piece("features", "a", "sslbench", 1.0, device_seconds=0.5)))
    assert found["groups"]["features"]["a"]["sslbench"]["images_per_s"] == 512


def test_what_became_slower_is_named_worst_first(tmp_path):
    old = from_benchmark(KNOWN)
    new = from_benchmark(
        raw(*(piece(END, "simclr", engine, s) for engine, s in (("harness", 0.3), ("bare step", 0.19))))
    )
    assert slower(old, new) == ["1.50 times the time  end to end: SimCLR: simclr, harness"]
    assert slower(old, old) == []
    for name, figures in (("old", old), ("new", new)):
        (tmp_path / name).write_text(json.dumps(figures))
    printed = CliRunner().invoke(app, ["compare", str(tmp_path / "old"), str(tmp_path / "new")])
    assert "1.50 times the time" in printed.stdout


def test_a_run_is_kept_beside_the_one_before(tmp_path):
    (tmp_path / "raw.json").write_text(json.dumps(KNOWN))
    for expected in ("Nothing became slower", "Nothing became slower"):
        done = CliRunner().invoke(app, ["keep", str(tmp_path / "raw.json"), "--into", str(tmp_path)])
        assert expected in done.stdout, done.exception
    page = (tmp_path / "2-cores.md").read_text()
    assert "| simclr | 1,422 | 1,280 | 427 |" in page
    assert json.loads((tmp_path / "2-cores.json").read_text())["commit"] == "abc"


def test_other_files_are_refused(tmp_path):
    (tmp_path / "raw.json").write_text("{}")
    done = CliRunner().invoke(app, ["keep", str(tmp_path / "raw.json"), "--into", str(tmp_path)])
    assert isinstance(done.exception, SslbenchError)
    with pytest.raises(SslbenchError, match="no measurement"):
        from_benchmark(raw())


def test_a_gpus_name_makes_a_file_name():
    assert file_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "throughput").glob("*.json")), ids=lambda p: p.stem)
def test_the_committed_pages_are_those_of_the_committed_figures(path):
    figures = json.loads(path.read_text())
    assert path.stem == file_name(figures["device"])
    assert path.with_suffix(".md").read_text() == to_markdown(figures)
