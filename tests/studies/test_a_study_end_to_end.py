"""A study from its file to its pictures, on digits, as a user runs it."""

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
def test_a_study_runs_is_continued_and_is_shown_again_without_torch(sslbench, tmp_path):
    (tmp_path / "small.toml").write_text(STUDY)
    done = sslbench("run", "--study", "small.toml")
    assert done.returncode == 0, done.stderr + done.stdout
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
    assert {len(one["scores"]) for one in found["runs"]["tried"].values()} == {3}
    assert [one["file"] for one in found["figures"]] == [
        "1-predictions.png",
        "2-pretraining.png",
        "3-classifiers.png",
        "4-reconstructions.png",
        "5-snapshots.png",
    ]
    for one in found["figures"]:
        assert f"]({one['file']})" in (folder / "study.md").read_text()
        with Image.open(folder / one["file"]) as image:
            assert min(image.size) > 100
            assert len(image.convert("L").getcolors(256) or []) > 10
    record = json.loads((tmp_path / "results" / found["runs"]["systems"]["frozen"]["records"][0]).read_text())
    assert record["identity"]["settings"]["share"] == 0.8
    assert not any("val_accuracy" in m["curves"] for m in record["protocols"].values())

    again = sslbench("run", "--study", "small.toml")
    assert again.returncode == 0, again.stderr
    assert "2 runs, 2 recorded, 0 to do" in again.stdout
    assert json.loads((folder / "study.json").read_text())["rows"] == found["rows"]

    code = (
        "import sys; from bench import cli\nsys.argv = ['sslbench', 'leaderboard', '--study', 'small.toml']\n"
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
        (["run", "--study", "autoencoder-mnst"], "did you mean 'autoencoder-mnist'"),
        (["run", "--study", "autoencoder-mnist", "simclr", "--set", "a=1"], "leave out --set and METHODS"),
        (["run", "--study", "vae-imagenet96"], "imagenette-96.zip is neither here nor under --data-root"),
        (["leaderboard", "--study", "autoencoder-mnist"], "has not been run here"),
        (["leaderboard", "--study", "autoencoder-mnist", "--check"], "a table of its own"),
    ],
)
def test_a_mistake_with_a_study_is_one_line_and_exit_code_2(sslbench, tmp_path, arguments, message):
    done = sslbench(*arguments, SSLBENCH_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert done.stderr.startswith("sslbench: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
