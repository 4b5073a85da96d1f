"""Damaged and stale files are the trouble of their own run: set aside, and the run starts again from nothing."""

from dataclasses import replace

import pytest
from safetensors.torch import load_file
from support.in_process import context_of, options_of, perform, same, stopped

from bench.data import load
from bench.execution.encoder import build_method
from bench.execution.run import DataChanged, execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records import checkpoints
from bench.records.store import Store

RUN = {"method": "autoencoder", "budget": "2ep", "protocols": ("knn",)}
MORE = {**RUN, "protocols": ("knn", "lowshot-1-frozen")}


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("straight"))
    return store, perform(store, **MORE)


def test_a_damaged_encoder_is_set_aside_and_the_run_starts_again_from_nothing(straight, tmp_path):
    store, lines = Store(tmp_path), []
    path = store.encoder_path(perform(store, **RUN).identity)
    flip_a_bit(path)
    record = perform(store, **MORE, on_message=lines.append)
    assert lines == [
        f"encoder {path} cannot be read (it is damaged, its checksum is wrong): "
        "renamed to seed-0.safetensors.damaged-1; the run starts again from nothing"
    ]
    assert path.with_name("seed-0.safetensors.damaged-1").is_file()
    assert same(store, record, *straight)


def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_again_from_nothing(straight, tmp_path):
    store, lines = Store(tmp_path), []
    stopped(store, stop_at=7, **MORE)
    path = store.checkpoint_path(straight[1].identity)
    flip_a_bit(path)
    record = perform(store, **MORE, on_message=lines.append)
    (line,) = lines
    assert str(path) in line
    assert line.endswith("renamed to seed-0.pt.damaged-1; the run starts again from nothing")
    assert same(store, record, *straight)


def test_an_encoder_of_a_version_without_checksums_is_set_aside(tmp_path, monkeypatch):
    store, lines = Store(tmp_path), []
    monkeypatch.setattr(checkpoints, "_HASH_ENTRY", checkpoints.re.compile(b"not there"))
    perform(store, "random_init", budget="smoke")
    perform(store, "random_init", budget="smoke", protocols=("knn", "lowshot-1-frozen"), on_message=lines.append)
    (line,) = lines
    assert "it has no checksum, so it is damaged or of another version of sslbench" in line


def test_a_damaged_last_checkpoint_fails_the_run_that_extends_it_with_one_line(tmp_path):
    store = Store(tmp_path)
    source = perform(store, **RUN)
    path = store.last_path(source.identity)
    flip_a_bit(path)
    with pytest.raises(AssertionError, match=r"it is damaged, its checksum is wrong.*again with --force"):
        perform(store, **RUN, extend="3ep")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AssertionError, match="cannot be read"):
        perform(store, **RUN, extend="3ep")
    assert path.is_file()
    assert store.read(source.identity) == source


def test_images_that_changed_since_the_plan_are_refused_and_nothing_is_recorded(tmp_path):
    options = options_of(tmp_path)
    (run,) = plan_runs(Request(methods=["pixels"], protocols=("knn",), budget="smoke"), options).runs
    changed = replace(options.dataset.load(), fingerprint="0" * 32)
    with pytest.raises(DataChanged, match="images of digits have changed since the run was planned"):
        execute(run, changed, context_of(options))
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("recorded", [True, False])
def test_a_forced_run_uses_nothing_of_the_run_before(straight, tmp_path, recorded):
    """Its encoder, checkpoint and snapshots may come from other code with the same version."""
    store, other = Store(tmp_path / "results"), Store(tmp_path / "other")
    identity = perform(store, **MORE, snapshots=1).identity
    foreign = perform(other, **{**MORE, "settings": ("recipe.rate=0.0005",)})
    encoder = build_method(identity, load("digits")).encoder()
    encoder.load_state_dict(load_file(other.encoder_path(foreign.identity)))
    checkpoints.save_encoder(store.encoder_path(identity), identity, encoder, {"training": None})
    if not recorded:
        store.record_path(identity).unlink()
    record = perform(store, **MORE, force=True)
    assert same(store, record, *straight)
    assert not store.snapshots_path(identity).exists()
