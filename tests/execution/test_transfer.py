"""``--measure-on``: encoders of digits are measured on another data set, held against scikit-learn; the run itself stays the same."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from support.in_process import context_of, options_of
from torch.nn import functional

from bench.data.dataset import SealedLabels
from bench.data.label_sets import label_set
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError, Stopped
from bench.execution.run import DataChanged, execute
from bench.planning.estimate import estimate
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.pretrained.plain_encoder import encoder_of_run
from bench.records.record import Record
from bench.records.store import Store
from protocols.transfer import parse_transfer

TRAIN, TEST = 200, 100


def write(path: Path, *, shuffled: bool = False, colour: bool = False, first: int = 0) -> str:
    """Write digits turned by a quarter and padded to 12 × 12 pixels as other images; return their name."""
    found = load_digits()
    order = np.random.default_rng(3).permutation(len(found.target))[first : first + TRAIN + TEST]
    images = np.pad(np.rot90(found.images[order], axes=(1, 2)) * 15.9, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    labels = found.target[order]
    if shuffled:
        labels[:TRAIN] = np.random.default_rng(0).permutation(labels[:TRAIN])
    if colour:
        # One image makes the set a coloured one; all others have three equal channels.
        images = np.repeat(images[..., None], 3, -1)
        images[0, ..., 0] = 0
    np.savez(
        path,
        train_images=images[:TRAIN],
        train_labels=labels[:TRAIN],
        test_images=images[TRAIN:],
        test_labels=labels[TRAIN:],
    )
    return f"npz:{path}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))


def planned(folder, names, method="pixels", task="test", **request):
    options = options_of(folder, task=task)
    changed = {"protocols": ("knn",), "budget": "1ep"} | request
    return options, plan_runs(Request(methods=[method], measure_on=names, **changed), options)


def measured(folder, *names, method="pixels", **request) -> Record:
    options, plan = planned(folder, names, method, **request)
    (run,) = plan.runs
    record = execute(run, options.dataset.load(), context_of(options))
    assert record is not None and record.status == "ok", record
    return record


def of_transfer(record: Record) -> dict[str, object]:
    """The measurements on other data sets by protocol, without their durations."""
    return {
        found[1]: replace(measurement, seconds=0.0)
        for name, measurement in record.protocols.items()
        if (found := parse_transfer(name)) is not None
    }


def bits(measurement, draw=0):
    packed = np.frombuffer(base64.b64decode(measurement.correct[draw]), np.uint8)
    return np.unpackbits(packed, count=measurement.images).astype(bool)


def test_the_scores_are_those_of_scikit_learn_on_the_features_of_the_resized_images(tmp_path):
    spec = DatasetSpec(write(tmp_path / "turned.npz"), image_size=12)
    options = replace(options_of(tmp_path / "results"), dataset=spec)
    request = Request(["random_init"], "1ep", "resnet9_slim", ("knn",), measure_on=["digits"])
    record = execute(plan_runs(request, options).runs[0], spec.load(), context_of(options))
    found = of_transfer(record)
    assert set(found) == {"knn", "linear", "lowshot-1pct-frozen"}
    own, other = spec.load(), DatasetSpec("digits").load()
    encoder = encoder_of_run(Store(tmp_path / "results"), "random_init")

    def features(images):
        resized = functional.interpolate(images.float() / 255, (12, 12), mode="bilinear", antialias=True)
        with torch.no_grad():
            return encoder.features((resized - own.traits.mean[0]) / own.traits.std[0]).numpy()

    train, test = features(other.train_images), features(other.test_images)
    labels, truth = other.train_labels.numpy(), other.test_labels.open().numpy()
    neighbours = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07)).fit(train, labels)
    assert (bits(found["knn"]) == (neighbours.predict(test) == truth)).mean() > 0.99

    mean, std = train.mean(0), train.std(0)
    train, test = ((part - mean)[:, std > 1e-6] / std[std > 1e-6] for part in (train, test))
    chosen = label_set(other.train_labels, "1pct", 1, other.class_names).numpy()
    head = LogisticRegression(C=1 / (0.01 * len(chosen)), tol=1e-8, max_iter=5000).fit(train[chosen], labels[chosen])
    assert (bits(found["lowshot-1pct-frozen"], 1) == (head.predict(test) == truth)).mean() > 0.99

    for measurement in found.values():
        assert measurement.images == len(truth)
        assert (measurement.transfer.fingerprint, measurement.transfer.classes) == (other.fingerprint, 10)
        assert (measurement.transfer.data.train, measurement.transfer.seen) == (len(labels), 0)
    assert record.protocols["knn"].transfer is None and record.data.train == TRAIN


def test_shuffled_labels_of_the_other_images_give_chance(tmp_path):
    shuffled, right = write(tmp_path / "shuffled.npz", shuffled=True), write(tmp_path / "right.npz")
    record = measured(tmp_path / "results", shuffled, right)
    chance, learnt = (
        [m.metrics["top1"] for name, m in record.protocols.items() if word in name]
        for word in ("-shuffled-", "-right-")
    )
    assert len(chance) == len(learnt) == 3
    assert max(chance) < 0.1 + 4 * np.sqrt(0.09 / TEST), "more than four standard errors above chance"
    assert min(learnt) > 0.4


def test_labels_to_measure_on_are_opened_once_per_protocol_and_test_labels_never_on_val(tmp_path, monkeypatch):
    opened = []
    original = SealedLabels.open
    monkeypatch.setattr(SealedLabels, "open", lambda self: opened.append(self) or original(self))
    name = write(tmp_path / "turned.npz")
    measured(tmp_path / "test", name)
    assert sorted(sealed.openings for sealed in {id(sealed): sealed for sealed in opened}.values()) == [1, 3]
    opened.clear()
    record = measured(tmp_path / "val", name, task="val")
    assert len(opened) == 4 and all(sealed.development for sealed in opened)
    held_out = DatasetSpec(name, image_size=8, task="val").load()
    assert {m.images for m in of_transfer(record).values()} == {len(held_out.test_images)} != {TEST}


def test_a_stored_encoder_is_measured_on_other_images_without_training_and_keeps_what_was_measured(tmp_path):
    before = measured(tmp_path / "results", method="simclr")
    (encoder,) = (tmp_path / "results").rglob("*.safetensors")
    written = encoder.stat().st_mtime_ns
    name = write(tmp_path / "turned.npz")
    options, plan = planned(tmp_path / "results", [name], "simclr")
    assert [run.reason for run in plan.runs] == ["protocols missing"]
    stages = []
    context = context_of(options, on_progress=lambda progress: stages.append(progress.stage))
    after = execute(plan.runs[0], options.dataset.load(), context)
    assert "pretrain" not in stages and encoder.stat().st_mtime_ns == written
    assert after.identity == before.identity and after.protocols["knn"] == before.protocols["knn"]
    assert len(of_transfer(after)) == 3 and after.curve == before.curve
    assert all(run.done for run in planned(tmp_path / "results", [name], "simclr")[1].runs)
    assert [run.reason for run in planned(tmp_path / "results", [name], force=True)[1].runs] == ["forced"]


def test_a_run_that_is_stopped_on_the_other_images_goes_on_to_the_same_numbers(tmp_path):
    name = write(tmp_path / "turned.npz")
    straight = measured(tmp_path / "straight", name, method="random_init")
    options, plan = planned(tmp_path / "stopped", [name], "random_init")
    stages = []
    context = context_of(
        options,
        on_progress=lambda progress: stages.append(progress.stage),
        keep_going=lambda: not any(stage.endswith("-linear") for stage in stages),
    )
    with pytest.raises(Stopped):
        execute(plan.runs[0], options.dataset.load(), context)
    (stopped,), _ = Store(tmp_path / "stopped").read_all()
    assert stopped.status == "interrupted" and set(of_transfer(stopped)) == {"knn"}
    resumed = measured(tmp_path / "stopped", name, method="random_init")
    assert of_transfer(resumed) == of_transfer(straight)


def test_images_that_change_after_the_plan_are_refused_and_nothing_is_recorded(tmp_path):
    name = write(tmp_path / "turned.npz")
    options, plan = planned(tmp_path / "results", [name], "simclr")
    write(tmp_path / "turned.npz", first=100)
    with pytest.raises(DataChanged, match=r"the images of npz-turned-.* have changed since the run was planned"):
        execute(plan.runs[0], options.dataset.load(), context_of(options))
    assert Store(tmp_path / "results").read_all()[0] == []


def test_other_images_under_the_same_name_are_measured_again(tmp_path):
    name = write(tmp_path / "turned.npz")
    record = measured(tmp_path / "results", name)
    other = {
        id: replace(m, transfer=replace(m.transfer, fingerprint="f00d")) if m.transfer else m
        for id, m in record.protocols.items()
    }
    Store(tmp_path / "results").write(replace(record, protocols=other))
    (run,) = planned(tmp_path / "results", [name])[1].runs
    assert run.recorded == ("knn",) and len(run.protocols) == 3
    assert measured(tmp_path / "results", name).protocols.keys() == record.protocols.keys()
    assert of_transfer(Store(tmp_path / "results").read(record.identity)) == of_transfer(record)


def test_colour_images_become_grey_for_an_encoder_of_grey_images(tmp_path):
    grey, colour = write(tmp_path / "grey.npz"), write(tmp_path / "colour.npz", colour=True)
    assert DatasetSpec(colour).load().traits.channels == 3
    record = measured(tmp_path / "results", grey, colour)
    answers = [bits(m) for name, m in record.protocols.items() if name.endswith("-knn")]
    assert (answers[0] == answers[1]).mean() >= 0.99, "at most the neighbours of the coloured image have changed"


def test_a_method_with_labels_and_changed_settings_is_measured_too(tmp_path):
    name = write(tmp_path / "turned.npz")
    record = measured(tmp_path / "results", name, method="supervised", settings=("recipe.rate=0.05",))
    assert len(of_transfer(record)) == 3 and record.identity.settings == {"recipe.rate": 0.05}


def test_images_to_measure_on_that_pretraining_saw_are_reported_and_recorded(tmp_path):
    first, second, mixed = (tmp_path / f"{name}.npz" for name in ("first", "second", "mixed"))
    write(first)
    write(second, first=TRAIN + TEST)
    with np.load(first) as seen, np.load(second) as unseen:
        arrays = dict(unseen)
        for kind in ("images", "labels"):
            arrays[f"test_{kind}"] = np.concatenate([seen[f"train_{kind}"][:50], unseen[f"test_{kind}"]])
    np.savez(mixed, **arrays)
    options = replace(options_of(tmp_path / "results"), dataset=DatasetSpec(f"npz:{first}", image_size=12))
    names = [f"npz:{second}", f"npz:{mixed}"]
    plan = plan_runs(Request(["pixels"], "1ep", protocols=("knn",), measure_on=names), options)
    (line,) = [line for line in plan.dataset if "pretraining sees" in line]
    assert line.startswith("measured on npz-mixed-") and f"50 of {TEST + 50} images to measure on" in line
    record = execute(plan.runs[0], options.dataset.load(), context_of(options))
    assert {m.transfer.seen for name, m in record.protocols.items() if "-mixed-" in name} == {50}
    assert {m.transfer.seen for name, m in record.protocols.items() if "-second-" in name} == {0}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["digits"], "is the data set of pretraining"),
        (["fashion_mnits"], "fashion_mnist"),
        (["mnist", "mnist"], "given twice"),
        (["<script>\x1b"], "unknown data set"),
    ],
)
def test_names_that_cannot_be_measured_on_are_refused_before_anything_is_loaded(tmp_path, monkeypatch, names, message):
    monkeypatch.setattr(DatasetSpec, "load", lambda self: pytest.fail("was loaded"))
    with pytest.raises(SslbenchError, match=message):
        planned(tmp_path, names)


def test_the_same_images_under_another_name_are_refused(tmp_path):
    write(tmp_path / "first.npz")
    (tmp_path / "copy.npz").write_bytes((tmp_path / "first.npz").read_bytes())
    first, copy = (f"npz:{tmp_path / name}" for name in ("first.npz", "copy.npz"))
    options = replace(options_of(tmp_path), dataset=DatasetSpec(first))
    with pytest.raises(SslbenchError, match=r"copy.npz: has the same images as --dataset npz:.*first.npz"):
        plan_runs(Request(["pixels"], "1ep", protocols=("knn",), measure_on=[copy]), options)


def test_a_transfer_is_no_protocol_to_name(tmp_path):
    with pytest.raises(SslbenchError, match="transfer-mnist-knn: is measured by --measure-on mnist"):
        planned(tmp_path, [], protocols=("transfer-mnist-knn",))


def test_a_dry_run_estimates_a_data_set_that_is_not_on_this_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("SSLBENCH_DATA", raising=False)
    options = options_of(tmp_path / "results", data_root=tmp_path)
    seconds = []
    for names in ([], ["kmnist"]):
        request = Request(["random_init"], protocols=("knn",), measure_on=names)
        plan = plan_runs(request, options, download=False)
        seconds += estimate(plan.todo, plan.workload, Store(options.results)).seconds
    assert any("kmnist are not on this machine" in line for line in plan.dataset)
    assert seconds[1] > 10 * seconds[0], "60,000 further images take longer than the 1,438 of digits"
    assert not (tmp_path / "results").exists()
