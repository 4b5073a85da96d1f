"""The training loop: a stopped run continues to the very same numbers, a diverged one says so."""

import math
from typing import ClassVar

import pytest
import torch
from sklearn.datasets import load_digits

from bench import seeds
from bench.backbones import build
from bench.errors import Diverged, SslbenchError, Stopped
from bench.records.record import Identity
from bench.training.pretrain import PretrainingSet, Training, pretrain
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


def train(method_class, data, checkpoint=None, stop_after=None, precision="bf16-mixed", **of):
    run = identity(**of)
    seeds.seed_everything(run.seed, "init")
    method = method_class(build("resnet9_slim", TRAITS), method_class.Settings(), TRAITS)
    steps = []
    training = Training(
        identity=run,
        recipe=method.recipe,
        views=noisy_views,
        device=torch.device("cpu"),
        precision=precision,
        threads=1,
        checkpoint=checkpoint,
        checkpoint_seconds=math.inf,
        keep_going=lambda: stop_after is None or len(steps) < stop_after,
        on_step=lambda step, *_: steps.append(step),
    )
    return method, pretrain(method, data, training)


@pytest.fixture(scope="module")
def straight_through(digits):
    return train(BYOL, digits)


@pytest.mark.parametrize("stop_after", [1, 7, 13])
def test_a_stopped_run_continues_to_the_same_weights_and_curve_bit_for_bit(
    digits, straight_through, tmp_path, stop_after
):
    straight, story = straight_through
    with pytest.raises(Stopped, match="epoch"):
        train(BYOL, digits, tmp_path / "c.pt", stop_after)
    torch.rand(100)
    continued, after = train(BYOL, digits, tmp_path / "c.pt")
    assert after.continued == stop_after
    assert after.curve == story.curve
    for name, tensor in straight.state_dict().items():
        assert torch.equal(tensor, continued.state_dict()[name]), name


def test_a_checkpoint_of_another_run_is_not_continued(digits, tmp_path):
    with pytest.raises(Stopped):
        train(SimCLR, digits, tmp_path / "c.pt", 3)
    _, story = train(SimCLR, digits, tmp_path / "c.pt", seed=1)
    assert story.continued == 0


def test_a_corrupt_checkpoint_is_named(digits, tmp_path):
    (tmp_path / "c.pt").write_bytes(b"PK\x03\x04 no checkpoint")
    with pytest.raises(SslbenchError, match=r"c\.pt.*delete it"):
        train(SimCLR, digits, tmp_path / "c.pt")


def test_seeds_differ_and_a_seed_repeats(digits):
    curves = [train(SimCLR, digits, epochs=1, seed=seed)[1].curve["loss"] for seed in (0, 0, 1)]
    assert curves[0] == curves[1] != curves[2]


def test_the_last_incomplete_batch_is_dropped_and_each_image_comes_once_an_epoch(digits):
    class Watching(SimCLR):
        seen: ClassVar[list[int]] = []

        def forward(self, batch, progress):
            self.seen.extend(batch.indices.tolist())
            return super().forward(batch, progress)

    train(Watching, digits, epochs=1)
    assert len(Watching.seen) == 1797 // 256 * 256 == len(set(Watching.seen))


@pytest.mark.slow
def test_the_curve_has_at_most_200_points_and_covers_every_step(digits):
    _, story = train(SimCLR, PretrainingSet(digits.images[:256]), epochs=50, batch=32)
    assert len(story.curve["step"]) == len(story.curve["loss"]) == 200
    assert story.curve["step"][-1] == 400


def test_a_loss_that_is_not_finite_ends_the_run(digits):
    class Exploding(SimCLR):
        def forward(self, batch, progress):
            loss = super().forward(batch, progress)
            return Loss(loss.total / (0.0 if progress > 0.5 else 1.0), loss.parts)

    with pytest.raises(Diverged, match="loss became inf"):
        train(Exploding, digits)
