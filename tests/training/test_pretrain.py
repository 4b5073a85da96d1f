"""The training loop: a stopped run resumes to the same numbers bit for bit, and a loss that is not finite raises an error."""

from typing import ClassVar

import pytest
import torch
from sklearn.datasets import load_digits
from support.in_process import context_of, options_of

from bench import seeds
from bench.backbones import build
from bench.errors import Diverged, SslbenchError, Stopped
from bench.records import checkpoints
from bench.records.record import Identity
from bench.records.store import Store
from bench.training.job import PretrainingSet, TrainingJob
from bench.training.pretrain import pretrain
from methods.base import Loss
from methods.byol import BYOL
from methods.simclr import SimCLR
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.38,), False, 1797, 1797)


def identity(epochs=2, seed=0, batch=256):
    return Identity("digits", "f", "test", "byol", 1, "resnet9_slim", 1, 1, "smoke", epochs, batch, seed)


@pytest.fixture(scope="module")
def digits():
    images = torch.tensor(load_digits().images * 15.9375).to(torch.uint8)[:, None]
    return PretrainingSet(images)


def noisy_views(images, generator):
    clean = images.float() / 255
    return [(clean + 0.2 * torch.randn(clean.shape, generator=generator)).clamp(0, 1) for _ in range(2)]


def train(method_class, data, results, stop_after=None, precision="bf16-mixed", **changed):
    run = identity(**changed)
    seeds.seed_everything(run.seed, "init")
    method = method_class(build("resnet9_slim", TRAITS), method_class.Settings(), TRAITS)
    steps = []
    context = context_of(
        options_of(results),
        keep_going=lambda: stop_after is None or len(steps) < stop_after,
        on_progress=lambda progress: steps.append(progress.done),
    )
    job = TrainingJob(identity=run, recipe=method.recipe, views=noisy_views, precision=precision)
    return method, pretrain(method, data, job, context)


@pytest.fixture(scope="module")
def straight_through(digits, tmp_path_factory):
    return train(BYOL, digits, tmp_path_factory.mktemp("straight"))


@pytest.mark.parametrize("stop_after", [1, 7, 13])
def test_a_stopped_run_resumes_to_the_same_weights_and_curve_bit_for_bit(
    digits, straight_through, tmp_path, stop_after
):
    straight, trained = straight_through
    with pytest.raises(Stopped, match="epoch"):
        train(BYOL, digits, tmp_path, stop_after)
    torch.rand(100)
    resumed, after = train(BYOL, digits, tmp_path)
    assert after.resumed_at == stop_after
    assert after.curve == trained.curve
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_a_checkpoint_of_another_run_is_not_resumed(digits, tmp_path):
    with pytest.raises(Stopped):
        train(SimCLR, digits, tmp_path, 3)
    store = Store(tmp_path)
    store.checkpoint_path(identity()).rename(store.checkpoint_path(identity(seed=1)))
    _, trained = train(SimCLR, digits, tmp_path, seed=1)
    assert trained.resumed_at == 0


def test_a_corrupt_checkpoint_is_an_error_with_its_path(digits, tmp_path):
    path = Store(tmp_path).checkpoint_path(identity())
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(SslbenchError, match=r"seed-0\.pt cannot be read \(it has no checksum"):
        train(SimCLR, digits, tmp_path)


def test_a_checkpoint_of_another_file_format_is_a_one_line_error(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORM", checkpoints.FORM - 1)
    with pytest.raises(Stopped):
        train(SimCLR, digits, tmp_path, 3)
    monkeypatch.undo()
    with pytest.raises(SslbenchError, match=r"seed-0\.pt cannot be read \(it is of another version of sslbench\)"):
        train(SimCLR, digits, tmp_path)


def test_different_seeds_differ_and_the_same_seed_repeats(digits, tmp_path):
    curves = [train(SimCLR, digits, tmp_path, epochs=1, seed=seed)[1].curve["loss"] for seed in (0, 0, 1)]
    assert curves[0] == curves[1] != curves[2]


def test_the_last_incomplete_batch_is_dropped_and_each_image_is_seen_once_per_epoch(digits, tmp_path):
    class RecordingSimCLR(SimCLR):
        seen: ClassVar[list[int]] = []

        def forward(self, batch, progress):
            self.seen.extend(batch.indices.tolist())
            return super().forward(batch, progress)

    train(RecordingSimCLR, digits, tmp_path, epochs=1)
    seen = RecordingSimCLR.seen
    assert len(seen) == 1797 // 256 * 256 == len(set(seen))


@pytest.mark.slow
def test_the_curve_has_at_most_200_points_and_covers_every_step(digits, tmp_path):
    _, trained = train(SimCLR, PretrainingSet(digits.images[:256]), tmp_path, epochs=50, batch=32)
    assert len(trained.curve["step"]) == len(trained.curve["loss"]) == 200
    assert trained.curve["step"][-1] == 400


def test_a_loss_that_is_not_finite_ends_the_run(digits, tmp_path):
    class Exploding(SimCLR):
        def forward(self, batch, progress):
            loss = super().forward(batch, progress)
            return Loss(loss.total / (0.0 if progress > 0.5 else 1.0), loss.parts)

    with pytest.raises(Diverged, match="loss became inf"):
        train(Exploding, digits, tmp_path)
