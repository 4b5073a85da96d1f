"""The lines of a plan: few for many runs, and what a dry run adds to them."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from support.in_process import options_of

from bench.data.spec import DatasetSpec
from bench.execution.plan_groups import groups_of, recipe_lines, seeds_text
from bench.execution.plan_summary import print_plan
from bench.planning.plan import PlannedRun
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Identity

IDENTITY = Identity("digits", "f00d", "test", "simclr", 1, "resnet9_slim", 1, 1, "smoke", 2, 256, 0)


def run_of(method="simclr", seed=0, reason="new", protocols=("knn",), recorded=(), **settings):
    return PlannedRun(replace(IDENTITY, method=method, seed=seed, settings=settings), protocols, recorded, reason)


def test_methods_with_the_same_seeds_share_a_line():
    runs = [run_of(method, seed) for method in ("simclr", "byol", "vicreg") for seed in range(1000)]
    assert list(groups_of(runs)) == ["resnet9_slim, seeds 0 to 999: simclr, byol, vicreg"]


def test_runs_with_another_reason_settings_or_protocols_are_told_apart():
    runs = [
        run_of(),
        run_of(temperature=0.2),
        run_of("byol", reason="stale"),
        run_of("vicreg", reason="protocols missing", protocols=("linear",), recorded=("knn",)),
    ]
    assert list(groups_of(runs)) == [
        "resnet9_slim, seed 0: simclr, simclr+temperature=0.2",
        "resnet9_slim, seed 0 (stale): byol",
        "resnet9_slim, seed 0 (protocols missing): vicreg; to measure: linear",
    ]


def test_the_number_of_lines_and_names_is_bounded():
    runs = [run_of(temperature=float(number)) for number in range(5000)]
    (line,) = groups_of(runs)
    assert line.endswith("and 4,950 more")
    many_seeds = [run_of("m", seed, reason=f"reason {seed}") for seed in range(5000)]
    assert len(list(groups_of(many_seeds))) < 100


def test_seeds_are_written_as_ranges():
    assert seeds_text([3]) == "seed 3"
    assert seeds_text([2, 0, 1]) == "seeds 0 to 2"
    assert seeds_text([0, 2, 5]) == "seeds 0, 2, 5"


def test_a_dry_run_shows_the_learning_rate_that_the_batch_size_gives():
    run = run_of()
    smaller = replace(run, identity=replace(run.identity, batch=64))
    first, protocols = recipe_lines([smaller])
    assert "2 epochs, batch 64, lars, learning rate 0.25 (1 at batch 256)" in first
    assert protocols == "protocols: knn"
    assert "learning rate 1," in next(iter(recipe_lines([run])))


@pytest.fixture
def printed(tmp_path, monkeypatch):
    """A function that prints the plan of a dry run of simclr on a data set."""
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)

    def lines(dataset, **changed):
        options = replace(options_of(tmp_path / "results"), dataset=DatasetSpec(dataset, **changed))
        console = Console(file=StringIO(), width=80)
        print_plan(plan_runs(Request(["simclr"]), options, download=False), console, details=True)
        assert isinstance(console.file, StringIO)
        return console.file.getvalue().splitlines()

    return lines


def test_a_plan_begins_with_the_data_set(printed):
    title, classes, images, *_ = printed("digits")
    assert title.startswith("digits, resnet9_slim, standard: 60 epochs, batch 256; 1 run, 0 recorded, 1 to do")
    assert "10 classes" in classes
    assert "training images" in images


@pytest.mark.parametrize("task", ["test", "val"])
def test_a_dry_run_of_a_missing_data_set_downloads_nothing(printed, task, monkeypatch):
    def no_download(*_):
        raise AssertionError("a dry run started a download")

    monkeypatch.setattr("bench.data.loading.download", no_download)
    text = " ".join(printed("cifar10", task=task))
    assert "the files of cifar10 are not on this machine" in text
    assert "200 epochs, batch 256" in text


def test_a_development_task_that_is_too_small_is_reported(tmp_path):
    from PIL import Image

    for name in ("a", "b"):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for number in range(25):
            Image.new("L", (8, 8), number * 10 + (name == "b")).save(folder / f"{number}.png")
    spec = DatasetSpec(f"folder:{tmp_path / 'images'}", image_size=8, task="val")
    plan = plan_runs(Request(["pixels"]), replace(options_of(Path(tmp_path / "results")), dataset=spec))
    assert any("too few to choose settings on" in note for note in plan.notes)
