"""Two processes that train together compute what one process computes: every method, loss, gradients and state."""

import shutil
from pathlib import Path

import pytest
import torch
from support.pair import CPU, TRAITS, Pair, Steps, Training, difference, digits, pair, trained

from bench import seeds
from bench.backbones import build
from bench.backbones.catalogue import find
from bench.registry.methods import load_method, method_names
from bench.views import compile_views
from bench.views.rows import Rows, share_of
from methods.base import Batch

TOLERANCE = 1e-5
FLOOR = 0.2
"""A tensor's norm counts as at least this share of the norm of all."""
TRAINED = [name for name in method_names() if load_method(name).needs.training]
STEPS = {"vit_nano": 10, "resnet9_slim": 3}
"""Steps before the comparison is repeated, by backbone."""
CASES = [
    (name, backbone)
    for name in TRAINED
    for backbone in STEPS
    if load_method(name).needs.backbone in ("any", find(backbone).kind) and load_method(name).needs.one_device is None
]


@pytest.fixture(scope="module")
def two():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pair() as started:
        yield started
    torch.set_num_threads(threads)


def assert_equal(one: Steps, two: Steps) -> None:
    """Compare loss and gradient of the first step that each did, and queues, centres and running statistics after equally many steps.

    Parameters are not compared: Adam turns a gradient that is zero but for rounding into steps of full size.
    """
    assert two.losses[0] == pytest.approx(one.losses[0], rel=TOLERANCE, abs=TOLERANCE)
    assert difference(one.gradients[0], two.gradients[0], FLOOR) < (TOLERANCE, "")
    if len(one.losses) == len(two.losses):
        assert difference(one.buffers, two.buffers, FLOOR) < (TOLERANCE, "")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), CASES)
def test_two_devices_have_the_loss_gradients_and_buffers_of_one_also_when_they_resume_its_checkpoint(
    two: Pair, tmp_path: Path, name: str, backbone: str
) -> None:
    alone = trained(Training(name, backbone, tmp_path / "one", STEPS[backbone]))
    assert len(alone.losses) == STEPS[backbone]
    assert_equal(alone, two.trained(Training(name, backbone, tmp_path / "two", 1)))
    shutil.copytree(tmp_path / "one", tmp_path / "resumed")
    assert_equal(
        trained(Training(name, backbone, tmp_path / "one", 1)),
        two.trained(Training(name, backbone, tmp_path / "resumed", 1)),
    )


def test_every_method_can_be_trained_on_several_devices() -> None:
    assert {name for name, _ in CASES} == set(TRAINED)


@pytest.mark.parametrize("backbone", STEPS)
def test_one_device_resumes_the_checkpoint_of_two(two: Pair, tmp_path: Path, backbone: str) -> None:
    two.trained(Training("moco", backbone, tmp_path / "two", 2))
    shutil.copytree(tmp_path / "two", tmp_path / "resumed")
    assert_equal(
        trained(Training("moco", backbone, tmp_path / "resumed", 1)),
        two.trained(Training("moco", backbone, tmp_path / "two", 1)),
    )


def test_a_batch_that_cannot_be_divided_equally_gives_the_same_numbers(two: Pair, tmp_path: Path) -> None:
    ways = ((trained, "one"), (two.trained, "two"))
    assert_equal(*(train(Training("simclr", "resnet9_slim", tmp_path / to, 1, batch=63)) for train, to in ways))


@pytest.mark.parametrize("name", ["simclr", "byol", "barlow_twins"])
def test_the_mean_of_the_gradients_of_two_halves_is_another_gradient(name: str) -> None:
    """What data-parallel training computes without gathering: it must not pass for equal."""
    cls = load_method(name)
    seeds.seed_everything(0, "init")
    method = cls(build("resnet9_slim", TRAITS), cls.Settings(), TRAITS).double()
    pipeline = cls.views(cls.Settings(), TRAITS)
    views = compile_views(pipeline, size=8, channels=1, mean=TRAITS.mean, std=TRAITS.std, device=CPU)(
        digits().images, torch.Generator().manual_seed(0)
    )

    def gradients(part: slice) -> dict[str, torch.Tensor]:
        method.zero_grad()
        batch = Batch([view[part].double() for view in views], None, torch.arange(64)[part], None, torch.Generator())
        method(batch, 0.0).total.backward()
        return {key: p.grad.clone() for key, p in method.named_parameters() if p.grad is not None}

    whole, first, second = (gradients(part) for part in (slice(None), slice(32), slice(32, None)))
    halves = {key: (first[key] + second[key]) / 2 for key in whole}
    assert difference(whole, halves, FLOOR)[0] > 1000 * TOLERANCE


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("name", ["simclr", "vicregl", "pirl"])
def test_views_of_some_rows_are_those_rows_of_the_views_of_the_whole_batch(name: str, per_sample: bool) -> None:
    cls = load_method(name)
    pipeline = cls.views(cls.Settings(), TRAITS)
    views = compile_views(
        pipeline, size=8, channels=1, mean=TRAITS.mean, std=TRAITS.std, device=CPU, workers=0, per_sample=per_sample
    )
    images = digits().images
    whole = views(images, torch.Generator().manual_seed(1))
    rows = Rows(20, 41, len(images))
    part = views(images[rows.part], torch.Generator().manual_seed(1), rows)
    assert len(part) == len(whole)
    for some, every in zip(part, whole, strict=True):
        torch.testing.assert_close(some, every[rows.part], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("size", "rows"), [(2, 64), (2, 63), (3, 64), (4, 5), (3, 3)])
def test_the_shares_of_all_processes_are_contiguous_and_differ_by_one_row_at_most(size: int, rows: int) -> None:
    shares = [share_of(rank, size, rows) for rank in range(size)]
    assert [row for share in shares for row in range(share.start, share.stop)] == list(range(rows))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert max(map(len, shares)) == len(shares[0])
