"""Sets that do not fit in memory: the same numbers as in memory, and memory that does not grow with the set."""

import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from support.in_process import perform, same

from bench.data.spec import DatasetSpec
from bench.errors import StorageError
from bench.evaluation.feature_file import FeatureFile
from bench.execution.encoder import pretraining_set
from bench.records.store import Store
from bench.training.batches import gathered, shuffled
from methods.simclr import SimCLR
from protocols.selection import Selection, selected

CPU = torch.device("cpu")


@pytest.fixture
def nothing_fits(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Treat every array as too large for memory."""

    def switch() -> None:
        for module in (
            "protocols.selection",
            "bench.training.batches",
            "bench.evaluation.feature_file",
        ):
            monkeypatch.setattr(f"{module}.LARGE", 1000)

    return switch


@pytest.mark.parametrize("request_", [{"share": 0.5}, {"task": "val"}, {"task": "val", "method": "supervised"}])
def test_a_run_has_the_same_numbers_if_nothing_fits_in_memory(
    request_: dict[str, object], tmp_path: Path, nothing_fits: Callable[[], None]
) -> None:
    protocols = (
        "knn",
        "linear",
        "lowshot-1-frozen",
        "lowshot-1@training.steps=2,training.passes=1",
        "attentive@epochs=0,steps=4",
    )
    arguments = {"method": "simclr", "budget": "smoke", "protocols": protocols, **request_}
    usual_store, large_store = Store(tmp_path / "usual"), Store(tmp_path / "large")
    usual = perform(usual_store, **arguments)  # type: ignore[arg-type]
    nothing_fits()
    large = perform(large_store, **arguments)  # type: ignore[arg-type]
    assert same(usual_store, usual, large_store, large)
    assert usual.data == large.data
    assert not [path for path in (tmp_path / "large").iterdir() if path.is_file()], "the features' file has no name"


def test_positions_of_train_and_unlabelled_are_read_from_their_own_arrays() -> None:
    images = torch.tensor(load_digits().images * 15.9).to(torch.uint8)[:, None]
    parts = [images[:1000], Selection([images], torch.arange(1000, 1797))]
    positions = torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:900]
    chosen = Selection(parts, positions)
    expected = images[positions]
    assert len(chosen) == 900 and chosen.shape == expected.shape and chosen.numel() == expected.numel()
    assert torch.equal(chosen[:], expected) and torch.equal(chosen[5:8], expected[5:8])
    assert torch.equal(chosen[3], expected[3])
    some = torch.tensor([899, 0, 0, 77])
    assert torch.equal(chosen[some], expected[some])
    copied = selected(parts, positions)
    assert isinstance(copied, torch.Tensor) and torch.equal(copied, expected)


def test_batches_of_a_large_set_are_those_of_a_small_one(nothing_fits: Callable[[], None]) -> None:
    dataset = DatasetSpec("digits").load()
    whole = pretraining_set(SimCLR, dataset, CPU, 0.7)
    nothing_fits()
    parts = pretraining_set(SimCLR, dataset, CPU, 0.7)
    assert isinstance(whole.images, torch.Tensor) and isinstance(parts.images, Selection)
    orders = (shuffled(len(whole), 100, 0, range(20), CPU) for _ in range(2))
    for first, second in zip(
        gathered(whole.images, next(orders), CPU), gathered(parts.images, next(orders), CPU), strict=True
    ):
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_a_full_disk_while_features_are_written_is_an_error_of_one_line(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    file = FeatureFile(tmp_path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(
            StorageError, match=r"cannot write the features .* free space or choose --results"
        ) as caught:
            for _ in range(10):
                file.add(torch.zeros(100, 100))
            file.mapped(1000, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


MEMORY = """
import re, sys
from pathlib import Path
import faiss, torch
import numpy as np
from bench.data.assemble import assemble
from bench.data.cache import cached, write_blocks
from bench.data.development import development
from bench.data.raw import RawData
from bench.evaluation.features import extract
from bench.execution.encoder import pretraining_set
from bench.training.batches import gathered, shuffled
from methods.base import Encoder, InputSpec
from methods.simclr import SimCLR
from protocols.knn import nearest
from protocols.selection import release

COUNT, SIDE, CPU = 3000, 224, torch.device("cpu")

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def build(target):
    block = np.random.default_rng(0).integers(0, 256, (100, 3, SIDE, SIDE), np.uint8)
    blocks = (np.roll(block, number, 1) + np.uint8(number) for number in range(COUNT // 100))
    write_blocks(target, (COUNT, 3, SIDE, SIDE), blocks)
    return []

class Thumbnails:
    input, training = InputSpec(SIDE, 3, (0.5,) * 3, (0.2,) * 3), False
    def eval(self): return self
    def train(self, mode): return self
    def features(self, images): return images[:, :, ::2, ::4].flatten(1).repeat(1, 2)

Path("/proc/self/clear_refs").write_text("5")
start = peak()
images, _ = cached("large", COUNT * 3 * SIDE**2, build)
labels = np.arange(COUNT) % 10
raw = RawData([str(n) for n in range(10)], images[:2000], labels[:2000], images[2000:2500], labels[2000:2500], images[2500:])
dataset = assemble("large", raw, True)
assert dataset.duplicates >= 0
development(dataset)
print("loaded", peak() - start)
data = pretraining_set(SimCLR, dataset, CPU)
order = shuffled(len(data), 64, 0, range(len(data) // 64), CPU)
assert sum(len(batch) for _, batch in gathered(data.images, order, CPU)) == len(data) // 64 * 64
print("pretrained", peak() - start)
def prepare(batch):
    release()
    return batch.float() / 255
bank = extract(Thumbnails(), dataset.train_images, prepare, folder=Path(sys.argv[1]))
assert bank.nbytes > 2**28
nearest(bank, bank[:50].clone(), 20, CPU, release)
print("evaluated", peak() - start)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what a process has in memory")
def test_memory_does_not_grow_with_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """450 MB of images, and 300 MB of features, of which a part is in memory at a time."""
    monkeypatch.setenv("SSLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done = subprocess.run([sys.executable, "-c", MEMORY, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    megabytes = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}
    assert megabytes.keys() == {"loaded", "pretrained", "evaluated"}
    assert megabytes["loaded"] < 250 and megabytes["pretrained"] < 250, megabytes
    # A block of 134 MB of the training features is in memory three times: mapped, normalised, and in the index of faiss.
    assert megabytes["evaluated"] < 600, megabytes
