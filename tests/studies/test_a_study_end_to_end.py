"""``sslbench study`` on digits, from the study's file to its pictures."""

import json
import subprocess
import sys

import pytest
from PIL import Image
from support.starting import clean_environment

STUDY = """
title = "A small study"
source = "https://example.org"
published = "Nothing much."
differs = ["Digits."]
dataset = "digits"
backbone = "mlp"
budget = "2ep"
seeds = 2

[[system]]
id = "frozen"
name = "frozen autoencoder"
method = "autoencoder"
settings = { layer = "latent", dim = 10, decoder = "mirrored", "recipe.rate" = 3e-3 }
share = 0.8
snapshots = 1
protocol = "lowshot-1pct-frozen"
published = { top1 = 87.15 }

[[system]]
id = "scratch"
name = "random start"
method = "autoencoder"
settings = { layer = "latent", dim = 10, decoder = "mirrored", "recipe.rate" = 3e-3 }
share = 0.8
snapshots = 1
protocol = "scratch-1pct"

[[comparison]]
first = "frozen"
second = "scratch"
finding = "frozen beats scratch"
published = 5.7

[search.grid]
rate = [0.001, 0.01]

[[search.systems]]
system = "scratch"
protocol = "scratch-1pct@training.optimizer=adamw,training.steps=20"
constants = { rate = ["training.trunk_rate", "training.head_rate"] }

[[search.systems]]
system = "frozen"
protocol = "lowshot-1pct@start=zero,training.trunk_rate=0,training.steps=20"
constants = { rate = ["training.head_rate"] }

[[figure]]
kind = "predictions"
systems = ["frozen"]
title = "Predictions"

[[figure]]
kind = "pretraining"
systems = ["frozen"]
title = "Loss"

[[figure]]
kind = "classifiers"
systems = ["scratch"]
title = "Curves"

[[figure]]
kind = "reconstructions"
systems = ["frozen"]
title = "Reconstructions"

[[figure]]
kind = "snapshots"
systems = ["frozen"]
title = "Features"
"""


@pytest.mark.slow
def test_a_study_runs_then_finds_its_records_and_is_shown_without_torch(sslbench, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY)
    finished = sslbench("study", "small.toml")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    folder = tmp_path / "results" / "studies" / "small"
    found = json.loads((folder / "study.json").read_text())
    assert [row["name"] for row in found["rows"]] == [
        "frozen autoencoder",
        "random start",
        "random start, after the search",
        "frozen autoencoder, after the search",
    ]
    assert all(row["status"] == "ok" and row["seeds"] == 2 for row in found["rows"])
    assert found["conclusion"][0]["verdict"] in ("holds", "does not hold", "cannot tell")
    assert found["chance"]["top1"] == 10
    assert {len(search["scores"]) for search in found["runs"]["tried"].values()} == {3}
    assert [picture["file"] for picture in found["figures"]] == [
        "1-predictions.png",
        "2-pretraining.png",
        "3-classifiers.png",
        "4-reconstructions.png",
        "5-snapshots.png",
    ]
    for picture in found["figures"]:
        assert f"]({picture['file']})" in (folder / "study.md").read_text()
        with Image.open(folder / picture["file"]) as image:
            assert min(image.size) > 100
            assert len(image.convert("L").getcolors(256) or []) > 10
    record = json.loads((tmp_path / "results" / found["runs"]["systems"]["frozen"]["records"][0]).read_text())
    assert record["identity"]["settings"]["share"] == 0.8
    assert not any("val_accuracy" in m["curves"] for m in record["protocols"].values())

    again = sslbench("study", "small.toml")
    assert again.returncode == 0, again.stderr
    assert "2 runs, 2 recorded, 0 to do" in again.stdout
    assert json.loads((folder / "study.json").read_text())["rows"] == found["rows"]

    code = (
        "import sys; from bench import cli\nsys.argv = ['sslbench', 'study', 'small.toml', '--show']\n"
        "try: cli.main()\nexcept SystemExit: pass\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )
    assert shown.stderr.strip() == "False"
    assert "frozen beats scratch" in " ".join(shown.stdout.split())
    assert "87.15" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "autoencoder-mnst"], "did you mean 'autoencoder-mnist'"),
        (["study", "vae-imagenet96"], "imagenette-96.zip is neither here nor under --data-root"),
        (["study", "autoencoder-mnist", "--show"], "has no results in results; run it with"),
    ],
)
def test_a_mistake_with_a_study_gives_a_one_line_error_and_exit_code_2(sslbench, tmp_path, arguments, message):
    finished = sslbench(*arguments, SSLBENCH_CACHE=str(tmp_path / "cache"))
    assert finished.returncode == 2
    assert finished.stderr.startswith("sslbench: ")
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1
