"""A flipped bit anywhere in a checkpoint or an encoder is found, and a file of another run is not used."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bench.errors import DamagedFile
from bench.records import checkpoints
from bench.records.checkpoints import (
    is_checkpoint,
    is_encoder,
    load_checkpoint,
    save_checkpoint,
    save_encoder,
    stored_encoder,
)
from bench.records.record import Identity, Record
from methods.base import Backbone, Encoder, InputSpec

State = dict[str, Any]


class Tiny(Backbone):
    kind = "mlp"

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.dim, self.pooling = 3, "none"


def tiny_encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(Tiny(), InputSpec(2, 1, (0.5,), (0.5,)))


@pytest.fixture
def identity(record: Record) -> Identity:
    return record.identity


@pytest.fixture(params=["checkpoint", "encoder"])
def written(
    request: pytest.FixtureRequest, tmp_path: Path, identity: Identity
) -> tuple[Path, Callable[[Path], object]]:
    """A file of each kind, and how it is read."""
    if request.param == "encoder":
        path = tmp_path / "seed-0.safetensors"
        save_encoder(path, identity, tiny_encoder(), {"training": {"curve": {"loss": [1.0]}}, "threads": 1})
        return path, lambda file: stored_encoder(file, identity)
    path = tmp_path / "seed-0.pt"
    save_checkpoint(path, identity, {"method": {"weight": torch.arange(12.0)}, "seconds": 2.5, "threads": 1})
    return path, lambda file: load_checkpoint(file, identity)


def test_every_flipped_bit_is_found(written: tuple[Path, Callable[[Path], object]]) -> None:
    path, read = written
    assert read(path) is not None
    sound = path.read_bytes()
    damaged = path.with_name("damaged")
    # Every byte of the ends, where headers and checksums are, and every third byte in between; each with another bit.
    places = [*range(200), *range(200, len(sound) - 200, 3), *range(len(sound) - 200, len(sound))]
    for place in places:
        data = bytearray(sound)
        data[place] ^= 1 << (place % 8)
        damaged.write_bytes(data)
        with pytest.raises(DamagedFile) as caught:
            read(damaged)
        assert "\n" not in str(caught.value) and str(damaged) in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1, -48])
def test_a_file_that_was_cut_or_has_more_behind_it_is_damaged(
    written: tuple[Path, Callable[[Path], object]], length: int
) -> None:
    path, read = written
    sound = path.read_bytes()
    for data in (sound[:length], sound + sound[:length] + b"\0"):
        path.write_bytes(data)
        with pytest.raises(DamagedFile):
            read(path)


def test_what_is_no_file_is_damaged_and_what_is_missing_is_none(written: tuple[Path, Callable[[Path], object]]) -> None:
    path, read = written
    path.unlink()
    assert read(path) is None
    os.mkfifo(path)
    with pytest.raises(DamagedFile, match="not a regular file"):
        read(path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DamagedFile, match="not a regular file"):
        read(path)


def test_a_file_of_another_run_is_not_used(tmp_path: Path, identity: Identity) -> None:
    path, other = tmp_path / "file", replace(identity, plugin="ffff")
    save_checkpoint(path, identity, {"seconds": 1.0})
    assert load_checkpoint(path, identity) is not None
    assert load_checkpoint(path, other) is None
    assert is_checkpoint(path, identity) and not is_checkpoint(path, other)
    save_encoder(path, identity, tiny_encoder(), {"training": None})
    assert stored_encoder(path, other) is None
    assert is_encoder(path, identity) and not is_encoder(path, other)
    assert not is_encoder(tmp_path / "missing", identity) and not is_checkpoint(tmp_path / "missing", identity)


def test_a_file_of_a_version_without_checksums_is_reported(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "old"
    torch.save({"form": 3, "identity": checkpoints.digest(identity)}, path)
    with pytest.raises(DamagedFile, match="of another version of sslbench"):
        load_checkpoint(path, identity)
    save_file({"weight": torch.zeros(2)}, path, {"form": "3", "identity": checkpoints.digest(identity)})
    with pytest.raises(DamagedFile, match="of another version of sslbench"):
        stored_encoder(path, identity)


def test_the_files_stay_readable_by_other_programs(tmp_path: Path, identity: Identity) -> None:
    encoder = tiny_encoder()
    save_encoder(tmp_path / "encoder", identity, encoder, {"training": None})
    tensors = load_file(tmp_path / "encoder")
    assert torch.equal(tensors["backbone.layer.weight"], encoder.state_dict()["backbone.layer.weight"])
    save_checkpoint(tmp_path / "checkpoint", identity, {"weight": torch.arange(5.0)})
    assert zipfile.ZipFile(tmp_path / "checkpoint").testzip() is None


def test_the_tensors_of_a_checkpoint_can_stay_on_the_disk(tmp_path: Path, identity: Identity) -> None:
    path = tmp_path / "seed-0.last.pt"
    save_checkpoint(path, identity, {"method": {"weight": torch.arange(1000.0)}})
    state = load_checkpoint(path, identity, mapped=True)
    assert state is not None
    assert torch.equal(state["method"]["weight"], torch.arange(1000.0))
