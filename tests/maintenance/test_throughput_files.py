"""Files of measured speeds: from the output of pytest-benchmark to figures, sentences and comparisons."""

import json

import pytest
from support.starting import ROOT
from typer.testing import CliRunner

from bench.errors import SslbenchError
from bench.maintenance.throughput import app, file_name, from_benchmark, slower
from bench.maintenance.throughput_report import summary, three_figures, to_markdown


def piece(group, what, engine, seconds, **facts):
    """An entry in the format of pytest-benchmark."""
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


def test_the_summary_has_the_ratios():
    text = summary(from_benchmark(KNOWN))
    assert "SimCLR: 1,280 images/s; 3.00 times as fast as lightly's loop in 32-true, 90% of the speed" in text
    assert "grey: drawn in batches 5.5 times as fast as image by image in a DataLoader on all cores" in text
    assert "(median of 2 pipelines; lowest 3.0, dino)" in text


def test_the_readme_gets_at_most_three_figures():
    pieces = [piece("views: colour", "simclr", engine, s) for engine, s in (("batched", 0.1), ("per sample", 0.2))]
    lines = three_figures(from_benchmark(raw(*KNOWN["benchmarks"], *pieces))).splitlines()
    assert len(lines) == 2, "the evaluation was not measured"
    assert lines[0].startswith("- training, SimCLR: 1,280 images/s")
    assert lines[1].startswith("- views: drawn in batches 2.0 (colour) to 5.5 (grey) times as fast")


def test_lightlys_linear_classifier_counts_with_all_its_epochs():
    group, what = "evaluation: knn and linear", "FashionMNIST"
    text = summary(
        from_benchmark(
            raw(
                piece(group, what, "sslbench", 30.0, top1={"knn": 85.0, "linear": 88.0}),
                piece(group, what, "lightly KNNClassifier", 60.0, top1={"knn": 84.0}),
                piece(group, what, "lightly LinearClassifier", 30.0, times=90),
                piece(group, what, "lightly LinearClassifier on stored features", 9.0, top1={"linear": 87.0}),
            )
        )
    )
    assert "30 s, 92 times as fast" in text
    assert "knn 85.0 and 84.0, linear 88.0 and 87.0" in text


def test_on_a_gpu_the_time_is_the_devices():
    found = from_benchmark(raw(piece("features", "a", "sslbench", 1.0, device_seconds=0.5)))
    assert found["groups"]["features"]["a"]["sslbench"]["images_per_s"] == 512


def test_slower_measurements_are_listed_worst_first(tmp_path):
    old = from_benchmark(KNOWN)
    new = from_benchmark(
        raw(*(piece(END, "simclr", engine, s) for engine, s in (("harness", 0.3), ("bare step", 0.19))))
    )
    assert slower(old, new) == ["1.50 times as long: end to end: SimCLR: simclr, harness"]
    assert slower(old, old) == []
    for name, figures in (("old", old), ("new", new)):
        (tmp_path / name).write_text(json.dumps(figures))
    printed = CliRunner().invoke(app, ["compare", str(tmp_path / "old"), str(tmp_path / "new")])
    assert "1.50 times as long" in printed.stdout


def test_a_run_is_stored_and_compared_with_the_previous_one(tmp_path):
    (tmp_path / "raw.json").write_text(json.dumps(KNOWN))
    for _ in range(2):
        done = CliRunner().invoke(app, ["keep", str(tmp_path / "raw.json"), "--into", str(tmp_path)])
        assert "Nothing became slower" in done.stdout, done.exception
    page = (tmp_path / "2-cores.md").read_text()
    assert "| simclr | 1,422 | 1,280 | 427 |" in page
    assert json.loads((tmp_path / "2-cores.json").read_text())["commit"] == "abc"


def test_other_files_are_refused(tmp_path):
    (tmp_path / "raw.json").write_text("{}")
    done = CliRunner().invoke(app, ["keep", str(tmp_path / "raw.json"), "--into", str(tmp_path)])
    assert isinstance(done.exception, SslbenchError)
    with pytest.raises(SslbenchError, match="no measurement"):
        from_benchmark(raw())


def test_a_file_is_named_after_its_device():
    assert file_name("NVIDIA H100 80GB HBM3") == "nvidia-h100-80gb-hbm3"


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "throughput").glob("*.json")), ids=lambda p: p.stem)
def test_committed_pages_are_up_to_date(path):
    figures = json.loads(path.read_text())
    assert path.stem == file_name(figures["device"])
    assert path.with_suffix(".md").read_text() == to_markdown(figures)
