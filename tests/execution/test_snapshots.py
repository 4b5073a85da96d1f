"""Snapshots: the content of the file, and that taking them does not change the run."""

import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.in_process import perform, same, stopped
from support.watched_run import CPU, STEPS, byol, watched_run

from bench.data import load
from bench.evaluation.features import extract
from bench.execution.encoder import build_method
from bench.execution.snapshots import IMAGES, SnapshotFile
from bench.records.checkpoints import stored_encoder
from bench.records.record import Identity
from bench.records.store import Store
from bench.views.prepare import prepare

RUN = byol("5ep")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    return watched_run(tmp_path_factory, RUN, snapshots=2)


def test_a_run_with_snapshots_has_the_results_of_a_run_without_bit_for_bit(watched, tmp_path):
    store, record = watched
    plain = Store(tmp_path)
    unwatched = perform(plain, **RUN)
    assert same(store, record, plain, unwatched)
    assert record.identity == unwatched.identity
    assert not plain.snapshots_path(unwatched.identity).exists()


def test_taking_a_snapshot_keeps_modes_weights_and_random_state(watched, digits, tmp_path):
    method = build_method(watched[1].identity, digits).train()
    for number, module in enumerate(method.modules()):
        module.training = number % 3 > 0
    modes = [module.training for module in method.modules()]
    before = {name: tensor.clone() for name, tensor in method.state_dict().items()}
    random_state = torch.get_rng_state()
    snapshots = SnapshotFile(tmp_path / "seed-0.npz", 1, watched[1].identity, digits, CPU)
    snapshots.begin(0)
    snapshots.take(method, 1, 0.5)
    assert [module.training for module in method.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in method.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_file_has_features_of_val_every_few_epochs_and_at_the_end(watched, digits):
    store, record = watched
    file = np.load(store.snapshots_path(record.identity))
    assert file["epochs"].tolist() == [2, 4, 5]
    assert file["features"].shape == (3, len(digits.val), 128)
    assert file["features"].dtype == np.float16
    assert np.array_equal(file["labels"], digits.train_labels[digits.val].numpy())
    losses = record.curve["loss"]
    assert record.curve["step"] == list(range(1, 5 * STEPS + 1))
    assert file["loss"] == pytest.approx([np.mean(losses[(e - 1) * STEPS : e * STEPS]) for e in (2, 4, 5)])
    assert not np.array_equal(file["features"][0], file["features"][1])


def test_the_last_snapshot_is_from_the_encoder_that_is_evaluated(watched, digits):
    store, record = watched
    stored = stored_encoder(store.encoder_path(record.identity), record.identity)
    assert stored is not None
    encoder = build_method(record.identity, digits).encoder().eval()
    encoder.load_state_dict(stored[0])
    features = extract(encoder, digits.train_images[digits.val], lambda x: prepare(x, encoder.input, CPU))
    file = np.load(store.snapshots_path(record.identity))
    assert np.array_equal(file["features"][-1], features.half().numpy())


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_file_without_duplicates(watched, tmp_path):
    straight = np.load(watched[0].snapshots_path(watched[1].identity))
    store, identity = Store(tmp_path), watched[1].identity
    stopped(store, stop_at=STEPS + 2, **RUN, snapshots=2)
    early = tmp_path / "early.pt"
    shutil.copy(store.checkpoint_path(identity), early)
    stopped(store, stop_at=3 * STEPS, **RUN, snapshots=2)
    assert np.load(store.snapshots_path(identity))["epochs"].tolist() == [2, 4]
    # Simulates a run that was killed before it wrote a newer checkpoint.
    shutil.copy(early, store.checkpoint_path(identity))
    stopped(store, stop_at=1, **RUN, snapshots=2)
    perform(store, **RUN, snapshots=2)
    continued = np.load(store.snapshots_path(identity))
    assert {name: straight[name].tolist() for name in straight} == {
        name: continued[name].tolist() for name in continued
    }


def test_the_images_cover_all_classes_if_val_is_sorted_by_class(digits):
    labels = digits.train_labels
    by_class = replace(digits, val=torch.argsort(labels, stable=True))
    found = SnapshotFile(None, 1, identity_of(digits), by_class, CPU)
    assert len(found.labels) == IMAGES
    assert set(found.labels.tolist()) == set(range(10))
    assert torch.equal(SnapshotFile(None, 1, identity_of(digits), by_class, CPU).images, found.images)


def identity_of(dataset):
    return Identity("digits", dataset.fingerprint, "test", "byol", 1, "resnet9_slim", 1, 1, "5ep", 5, 256, 0)


def test_a_file_of_another_run_is_replaced_and_a_damaged_file_is_set_aside(watched, digits, tmp_path):
    path = tmp_path / "seed-0.npz"
    shutil.copy(watched[0].snapshots_path(watched[1].identity), path)
    snapshots = SnapshotFile(path, 2, watched[1].identity, digits, CPU)
    snapshots.begin(4)
    assert list(snapshots.taken) == [2, 4]
    snapshots.begin(0)
    assert snapshots.taken == {}
    other = SnapshotFile(path, 2, replace(watched[1].identity, seed=1), digits, CPU)
    other.begin(4)
    assert other.taken == {}
    lines = []
    for number, data in enumerate((path.read_bytes()[:500], b""), 1):
        path.write_bytes(data)
        SnapshotFile(path, 2, watched[1].identity, digits, CPU, lines.append).begin(4)
        assert re.match(rf"snapshots \S+npz cannot be read .*: renamed to seed-0.npz.damaged-{number}; ", lines[-1])
        assert not path.exists()


def test_a_run_that_is_already_trained_reports_that_it_has_no_snapshots(tmp_path):
    store, messages = Store(tmp_path), []
    perform(store, "autoencoder", budget="1ep", protocols=("knn",))
    perform(
        store,
        "autoencoder",
        budget="1ep",
        protocols=("knn", "lowshot-1-frozen"),
        snapshots=1,
        on_message=messages.append,
    )
    assert messages == ["autoencoder, seed 0: already trained without snapshots; use --force to train it again"]
    perform(store, "autoencoder", budget="1ep", snapshots=1, force=True)
    assert len(list((tmp_path / "snapshots").rglob("seed-0.npz"))) == 1
