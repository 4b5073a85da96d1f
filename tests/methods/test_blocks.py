"""Block masks of I-JEPA: targets are removed from the context, and every position is used, for every size of grid."""

import pytest
import torch
from torch import Tensor

from methods.parts.blocks import Blocks

GRIDS = [4, 7, 8, 12, 14]


def draw(side: int, seed: int, batch: int = 64) -> tuple[Tensor, list[Tensor]]:
    return Blocks().draw(batch, side, torch.Generator().manual_seed(seed))


def masks(side: int, indices: Tensor) -> Tensor:
    return torch.zeros(len(indices), side**2, dtype=torch.bool).scatter(1, indices, True)


@pytest.mark.parametrize("side", GRIDS)
def test_a_context_has_no_patch_of_a_target(side: int) -> None:
    for seed in range(5):
        context, targets = draw(side, seed)
        assert len(targets) == 4
        for target in targets:
            assert not (masks(side, context) & masks(side, target)).any()
        assert torch.equal(masks(side, context).sum(1), torch.full((64,), context.shape[1]))


@pytest.mark.parametrize("side", GRIDS)
def test_a_target_is_a_rectangle_of_about_the_published_size(side: int) -> None:
    areas = []
    for seed in range(30):
        _, targets = draw(side, seed, batch=4)
        for target in targets:
            rows, columns = target[0] // side, target[0] % side
            height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
            assert height * width == target.shape[1] == len(target[0].unique())
        areas.append(targets[0].shape[1] / side**2)
    assert sum(areas) / len(areas) == pytest.approx(0.175, abs=0.06 if side == 4 else 0.02)


@pytest.mark.parametrize("side", GRIDS)
def test_a_context_has_at_least_a_third_of_the_patches(side: int) -> None:
    assert min(draw(side, seed, batch=256)[0].shape[1] for seed in range(10)) >= side**2 / 3


@pytest.mark.parametrize("side", GRIDS)
def test_every_patch_occurs_in_contexts_and_in_targets(side: int) -> None:
    # lightly's collator and the authors' never use the last row and column, nor the lower part of most contexts.
    in_context, in_target = torch.zeros(side**2), torch.zeros(side**2)
    for seed in range(20):
        context, targets = draw(side, seed)
        in_context += masks(side, context).sum(0)
        in_target += torch.stack([masks(side, target) for target in targets]).any(0).sum(0)
    for counts in (in_context, in_target):
        assert counts.min() > 0
        grid = counts.reshape(side, side)
        for first, last in [(grid[0], grid[-1]), (grid[:, 0], grid[:, -1])]:
            assert first.sum() == pytest.approx(last.sum().item(), rel=0.15)


def test_blocks_depend_only_on_the_generator() -> None:
    first = draw(7, 0)
    torch.manual_seed(3)
    again, other = draw(7, 0), draw(7, 1)
    assert torch.equal(first[0], again[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], again[1], strict=True))
    assert first[0].shape != other[0].shape or not torch.equal(first[0], other[0])
