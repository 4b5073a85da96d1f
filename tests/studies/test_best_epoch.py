"""``best_epoch_on_test``: the narrow door through which a study chooses the epoch on the test images, and that nothing else goes through it."""

import ast
import base64
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.in_process import context_of, lines_of, options_of, same, stopped
from support.starting import clean_environment
from support.study_file import study_text

import bench
from bench.data import load as load_dataset
from bench.data.dataset import Dataset, SealedLabels
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.evaluation.score import right_after_each_epoch
from bench.execution.run import execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Record
from bench.records.store import Store
from bench.studies.best_epoch import best_epochs
from bench.studies.load import find, read
from bench.studies.manifest import SystemRecords
from bench.studies.requests import pretrainings_of

PROTOCOL = "knn-200-t01"
EPOCHS = 3


def run(store: Store, dataset: Dataset, answers: str | None = PROTOCOL, stop_at: int | None = None) -> Record:
    """Carry out a run on digits in this process, on the given data set object."""
    options = options_of(store.root, answers=answers)
    request = Request(methods=["byol"], protocols=[PROTOCOL], budget=f"{EPOCHS}ep")
    (planned,) = plan_runs(request, options).runs
    steps: list[object] = []
    context = context_of(
        options,
        keep_going=lambda: stop_at is None or len(steps) < stop_at,
        on_progress=lambda progress: steps.append(progress) if progress.stage == "pretrain" else None,
    )
    record = execute(planned, dataset, context)
    assert record is not None and record.status == "ok"
    return record


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> tuple[Store, Record, int]:
    """A run with answers after every epoch, and how often it opened the test labels."""
    store = Store(tmp_path_factory.mktemp("answered"))
    sealed = replace(digits.test_labels, openings=0)
    record = run(store, replace(digits, test_labels=sealed))
    return store, record, sealed.openings


def bits(packed: str, images: int) -> np.ndarray:
    return np.unpackbits(np.frombuffer(base64.b64decode(packed), np.uint8), count=images).astype(bool)


def test_a_run_with_answers_has_the_results_of_a_run_without_and_opens_the_labels_as_often(
    answered: tuple[Store, Record, int], digits: Dataset, tmp_path: Path
) -> None:
    store, record, openings = answered
    plain = Store(tmp_path)
    sealed = replace(digits.test_labels, openings=0)
    without = run(plain, replace(digits, test_labels=sealed), answers=None)
    assert same(store, record, plain, without)
    assert openings == sealed.openings == 1
    assert not plain.answers_path(without.identity).exists()
    assert not any("epoch 1 has no answers" in line for line in lines_of(store.log_path(record.identity)))


def test_the_answers_after_the_last_epoch_are_those_of_the_protocol(
    answered: tuple[Store, Record, int], digits: Dataset
) -> None:
    store, record, _ = answered
    with np.load(store.answers_path(record.identity)) as file:
        epochs, answers = file["epochs"].tolist(), file["answers"]
        assert set(file.files) == {"epochs", "answers", "identity"}
    assert epochs == list(range(1, EPOCHS + 1))
    measurement = record.protocols[PROTOCOL]
    right = right_after_each_epoch(torch.from_numpy(answers), digits.test_labels).numpy()
    assert np.array_equal(right[-1], bits(measurement.correct[0], measurement.images))
    assert not np.array_equal(answers[0], answers[-1])


def test_a_stopped_run_ends_with_the_same_answers(
    answered: tuple[Store, Record, int], digits: Dataset, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    options = {"budget": f"{EPOCHS}ep", "protocols": (PROTOCOL,)}
    stopped(store, "byol", 7, **options, answers=PROTOCOL)
    record = run(store, digits)
    straight, resumed = (np.load(s.answers_path(record.identity)) for s in (answered[0], store))
    assert all(np.array_equal(straight[name], resumed[name]) for name in ("epochs", "answers", "identity"))


def test_a_run_without_answers_is_named_and_its_earlier_best_epoch_is_kept(
    answered: tuple[Store, Record, int], tmp_path: Path
) -> None:
    _, record, _ = answered
    path = tmp_path / "mine.toml"
    path.write_text(study_text(method="byol", protocol=PROTOCOL) + "best_epoch_on_test = true\n")
    study, lines = read(path), []
    Store(tmp_path).write(record)
    relative = Store(tmp_path).record_path(record.identity).relative_to(tmp_path).as_posix()
    systems = {"a": SystemRecords(PROTOCOL, (relative,))}
    whole = best_epochs(study, systems, {}, answered[0].root, DatasetSpec("digits", None), lines.append)
    assert (len(whole["a"]), lines) == (1, [])
    kept = best_epochs(study, systems, whole, tmp_path, DatasetSpec("digits", None), lines.append)
    assert (kept, lines) == (whole, [])
    lost = best_epochs(study, systems, {}, tmp_path, DatasetSpec("digits", None), lines.append)
    assert lost == {"a": ()}
    assert lines[0].startswith("byol, seed 0: its best epoch is not known") and "--force" in lines[0]


def test_only_a_study_compares_the_answers_of_every_epoch_with_the_test_labels() -> None:
    folder = Path(bench.__file__).parent
    callers = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom | ast.Import)
        and any(alias.name == "right_after_each_epoch" for alias in node.names)
    }
    assert callers == {"studies/best_epoch.py"}
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        right_after_each_epoch(torch.zeros(1, 2, dtype=torch.int64), SealedLabels(torch.zeros(3, dtype=torch.int64)))


def test_no_command_but_study_asks_for_answers_after_every_epoch() -> None:
    folder = Path(bench.__file__).parent / "cli"
    assert not [path.name for path in folder.glob("*.py") if "answers=" in path.read_text()]


@pytest.mark.parametrize("protocol", ["lowshot-1-frozen", "rankme"])
def test_the_best_epoch_needs_a_protocol_that_answers_each_image_once(protocol: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(study_text(method="byol", protocol=protocol) + "best_epoch_on_test = true\n")
    with pytest.raises(SslbenchError, match="answers each test image once"):
        read(path)


def test_one_pretraining_has_one_best_epoch(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    first = study_text(method="byol") + "best_epoch_on_test = true\n"
    second = first.partition("[[system]]")[2].replace('"a"', '"b"').replace('"knn"', f'"{PROTOCOL}"')
    path.write_text(f"{first}[[system]]{second}")
    with pytest.raises(SslbenchError, match="systems a and b are one pretraining"):
        read(path)


@pytest.mark.slow
def test_the_table_of_lightly_runs_at_a_tiny_size_and_shows_the_last_and_the_best_epoch(
    sslbench, tmp_path: Path
) -> None:
    small = ("digits", "--backbone", "resnet9_slim")
    finished = sslbench("study", "cifar10-lightly", "--dataset", *small, "--budget", "2ep")
    assert finished.returncode == 0, finished.stderr + finished.stdout
    folder = tmp_path / "results" / "studies" / "cifar10-lightly"
    found = json.loads((folder / "study.json").read_text())
    study = find("cifar10-lightly")
    names = [system.name for system in study.systems]
    assert [row["name"] for row in found["rows"]] == [
        name for system in names for name in (system, f"{system}, best epoch on test")
    ]
    for system, last, best in zip(study.systems, found["rows"][::2], found["rows"][1::2], strict=True):
        scores = [row["scores"]["top1"] for row in (last, best)]
        assert scores[0]["mean"] <= scores[1]["mean"]
        assert [score["published"] for score in scores] == [None, system.published["top1"]]
        (run,) = found["runs"]["best_epochs"][system.id]
        assert run["epochs"] == [1, 2]
        assert 100 * run["top1"][-1] == pytest.approx(scores[0]["mean"], abs=1e-3)
        assert 100 * max(run["top1"]) == pytest.approx(scores[1]["mean"], abs=1e-3)
    sentences = " ".join(finding["sentence"] for finding in found["conclusion"])
    assert "Choosing the epoch on the test images adds" in sentences
    assert "Ours minus published" not in sentences
    assert any("not allowed anywhere else" in note for note in found["notes"])
    assert [picture["file"] for picture in found["figures"]] == ["1-epochs.png"]

    # The record and the leaderboard are those of a run that no study asked for answers.
    alone = tmp_path / "alone"
    arguments = ("--dataset", *small, "--budget", "2ep", "--batch-size", "128", "--protocol", PROTOCOL)
    assert sslbench("run", "simclr", *arguments, "--results", str(alone)).returncode == 0
    records = [json.loads(next(root.rglob("records/**/simclr*/seed-0.json")).read_text()) for root in (
        tmp_path / "results", alone)]  # fmt: skip
    for record in records:
        del record["cost"], record["environment"], record["protocols"][PROTOCOL]["seconds"]
    assert records[0] == records[1]
    shown = sslbench("leaderboard", "--format", "json", "--all-protocols")
    assert "best epoch" not in shown.stdout
    rows = [row for table in json.loads(shown.stdout)["tables"] for row in table["rows"]]
    assert len(rows) == len(names)

    code = (
        "import sys; from bench import cli\nsys.argv = ['sslbench', 'study', 'cifar10-lightly', '--show', '--format', 'json']\n"
        "try: cli.main()\nexcept SystemExit: pass\nprint('torch' in sys.modules, file=sys.stderr)"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )
    assert again.stderr.strip() == "False"
    assert json.loads(again.stdout)["rows"] == found["rows"]


def test_lightlys_rows_are_twelve_pretrainings_that_answer_after_every_epoch() -> None:
    study = find("cifar10-lightly")
    options = options_of(Path("results"))
    pretrainings = pretrainings_of(study)
    assert len(pretrainings) == 12
    for pretraining in pretrainings:
        assert pretraining.run_options(study, options, "test").answers == PROTOCOL
        assert pretraining.run_options(study, options, "val").answers is None
        assert pretraining.request(study, [], 1).batch_size == 128
