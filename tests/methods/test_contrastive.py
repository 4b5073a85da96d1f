"""Contrastive methods: losses equal their papers' equations, teachers have no gradient, the right pairs are compared."""

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.backbones import build
from methods.base import Batch, Method
from methods.dcl import DCL
from methods.dclw import DCLW
from methods.densecl import DenseCL
from methods.directclr import DirectCLR
from methods.macl import MACL
from methods.moco import MoCo
from methods.nnclr import NNCLR
from methods.parts.memory import Memory
from methods.pirl import PIRL, PIRLSettings, memory_loss
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.37,), False, 64, 64)


def method_of(cls: type[Method], backbone: str = "resnet9_slim") -> Method:
    torch.manual_seed(0)
    return cls(build(backbone, TRAITS), cls.Settings(), TRAITS)


def digits(start: int) -> Tensor:
    images = torch.from_numpy(load_digits().images[start : start + 8]).float()
    return (images[:, None] / 16 - 0.3) / 0.37


def batch_of(*views: Tensor) -> Batch:
    return Batch(list(views), None, torch.arange(len(views[0])), None, torch.Generator().manual_seed(0))


def embeddings() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    first = torch.randn(6, 16)
    return normalize(first, dim=1), normalize(first + torch.randn(6, 16), dim=1)


def decoupled(first: np.ndarray, second: np.ndarray, temperature: float, sigma: float | None) -> float:
    """Equation 6 of the paper, pair by pair: the negatives of z_i are both views of all other images."""
    total, n = 0.0, len(first)
    for mine, other in ((first, second), (second, first)):
        agreement = [math.exp(mine[i] @ other[i] / sigma) if sigma else 1.0 for i in range(n)]
        for i in range(n):
            weight = 2 - agreement[i] / np.mean(agreement) if sigma else 1.0
            negatives = sum(
                math.exp(mine[i] @ view[j] / temperature) for view in (mine, other) for j in range(n) if j != i
            )
            total += -weight * (mine[i] @ other[i]) / temperature + math.log(negatives)
    return total / (2 * n)


@pytest.mark.parametrize(("cls", "sigma"), [(DCL, None), (DCLW, 0.5)])
def test_the_decoupled_losses_are_equation_6(cls: type[Method], sigma: float | None) -> None:
    first, second = embeddings()
    loss = method_of(cls).criterion(first, second)
    assert loss.item() == pytest.approx(
        decoupled(first.double().numpy(), second.double().numpy(), 0.1, sigma), rel=1e-5
    )


def test_macl_scales_its_temperature_by_the_alignment_and_its_loss_by_one_over_one_minus_p() -> None:
    first, second = embeddings()
    views = torch.cat([first, second]).double().numpy()
    n = len(first)
    pair = [views[i] @ views[(i + n) % (2 * n)] for i in range(2 * n)]
    temperature = 0.1 * (1 + 0.5 * np.mean(pair))
    total = 0.0
    for i in range(2 * n):
        others = sum(math.exp(views[i] @ views[j] / temperature) for j in range(2 * n) if j != i)
        p = math.exp(pair[i] / temperature) / others
        total += -math.log(p) / (1 - p)
    assert method_of(MACL).criterion(first, second).item() == pytest.approx(total / (2 * n), rel=1e-4)


def test_directclr_has_a_gradient_only_on_its_fraction_of_the_features() -> None:
    method = method_of(DirectCLR)
    features = torch.randn(8, 128, requires_grad=True)
    method.criterion(features, torch.randn(8, 128)).backward()
    used = features.grad.abs().sum(0) > 0
    assert used[:22].all() and not used[22:].any()  # 360 / 2048 of 128 features
    assert {id(p) for p in method.parameters()} == {id(p) for p in method.backbone.parameters()}


@pytest.mark.parametrize("cls", [MoCo, DenseCL])
def test_a_teacher_takes_no_gradient_and_moves_after_the_step(cls: type[Method]) -> None:
    method = method_of(cls)
    method(batch_of(digits(0), digits(8)), 0.0).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in method.teacher.parameters())
    before = copy.deepcopy(list(method.teacher.parameters()))
    with torch.no_grad():
        for key, p in method.named_parameters():
            if not key.startswith("teacher"):
                p.add_(1.0)
    method.after_step(0.0)
    for old, new in zip(before, method.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1.0 - method.settings.momentum), rtol=1e-4, atol=1e-6)


def test_mocos_teacher_uses_batch_statistics_and_ends_with_the_final_momentum() -> None:
    method = method_of(MoCo)
    images = digits(0)
    together, alone = method.teacher(images), method.teacher(images[:4])
    assert not torch.allclose(together[:4], alone, atol=1e-3)
    before = [p.clone() for p in method.teacher.parameters()]
    with torch.no_grad():
        for p in (*method.backbone.parameters(), *method.projection.parameters()):
            p.add_(1.0)
    method.after_step(1.0)
    for old, new in zip(before, method.teacher.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.001, rtol=1e-3, atol=1e-6)


def test_moco_never_compares_a_query_with_a_key_of_its_own_image_in_the_same_step() -> None:
    method = method_of(MoCo)
    keys: list[Tensor] = []
    method.teacher.register_forward_hook(lambda _, __, output: keys.append(normalize(output, dim=1)))
    seen = [loss.memory_bank.keys.clone() for loss in (method.first, method.second)]
    method(batch_of(digits(0), digits(8)), 0.0)
    assert all(
        torch.equal(a, loss.memory_bank.keys) for a, loss in zip(seen, (method.first, method.second), strict=True)
    )
    method.after_step(0.0)
    # Queries of the first view are compared with keys of second views, and the other way round.
    torch.testing.assert_close(method.first.memory_bank.keys[:8], keys[1])
    torch.testing.assert_close(method.second.memory_bank.keys[:8], keys[0])


def test_nnclr_compares_the_neighbour_of_one_view_with_the_prediction_of_the_other() -> None:
    method = method_of(NNCLR)
    method.queue.put(torch.randn(16, 256))
    method.queue.update()
    views = digits(0), digits(0).roll(1, dims=3)
    projections = [method.projection(method.backbone(view)) for view in views]
    predictions = [method.prediction(z) for z in projections]

    def direction(z: Tensor, p: Tensor) -> Tensor:
        bank = method.queue.keys
        neighbours = bank[torch.cdist(normalize(z, dim=1), bank).argmin(dim=1)]
        both = torch.cat([neighbours, normalize(p, dim=1)])
        similar = (both @ both.T / 0.2).fill_diagonal_(-math.inf)
        return nn.functional.cross_entropy(similar, torch.arange(16).roll(8))

    by_hand = (direction(projections[0], predictions[1]) + direction(projections[1], predictions[0])) / 2
    torch.testing.assert_close(method(batch_of(*views), 0.0).total, by_hand, rtol=1e-4, atol=1e-4)
    method.after_step(0.0)
    torch.testing.assert_close(method.queue.keys[0:8], normalize(projections[0], dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backbone", ["resnet9_slim", "vit_nano"])
def test_the_mean_of_densecl_s_places_is_what_the_encoder_gives(backbone: str) -> None:
    backbone = method_of(DenseCL, backbone).backbone.eval()
    feature_map = backbone.feature_map(digits(0))
    torch.testing.assert_close(feature_map.mean(dim=(2, 3)), backbone(digits(0)), rtol=1e-4, atol=1e-5)


def test_densecl_compares_each_position_with_the_most_similar_one_in_the_backbones_map() -> None:
    method = method_of(DenseCL)
    torch.manual_seed(1)
    local, key_local = torch.randn(2, 5, 7), torch.randn(2, 5, 7)
    queries, keys = torch.randn(2, 5, 128), torch.randn(2, 5, 128)
    cosines = nn.functional.cosine_similarity(local[:, :, None], key_local[:, None], dim=3)
    total = 0.0
    for image in range(2):
        for position in range(5):
            key = keys[image, cosines[image, position].argmax()]
            logits = torch.cat([normalize(key, dim=0)[None], method.dense_criterion.memory_bank.keys]) @ normalize(
                queries[image, position], dim=0
            )
            total -= (logits / 0.2).log_softmax(0)[0] / 10
    torch.testing.assert_close(method._dense_loss(local, key_local, queries, keys), total)


def test_densecls_dense_queue_has_one_pooled_key_per_image() -> None:
    method = method_of(DenseCL)
    method(batch_of(digits(0), digits(8)), 0.0)
    with torch.no_grad():
        backbone, _, dense = copy.deepcopy(method.teacher)
        pooled = dense(backbone.feature_map(digits(8)).flatten(2).transpose(1, 2)).mean(dim=1)
    method.after_step(0.0)
    assert method.dense_criterion.memory_bank.position == 8
    torch.testing.assert_close(method.dense_criterion.memory_bank.keys[:8], normalize(pooled, dim=1))


def test_densecl_without_a_feature_map_raises_an_error() -> None:
    with pytest.raises(ValueError, match="use another backbone"):
        method_of(DenseCL, "mlp")


def picture(size: int, channels: int) -> Image.Image:
    photograph = Image.fromarray(load_sample_image("flower.jpg")).resize((size, size))
    return photograph if channels == 3 else photograph.convert("L")


@pytest.mark.parametrize(("size", "channels", "tiles"), [(8, 1, 4), (28, 1, 9), (32, 3, 9), (96, 3, 9)])
def test_pirl_cuts_images_of_any_size_into_square_tiles(size: int, channels: int, tiles: int) -> None:
    traits = Traits(channels, size, 10, (0.3,) * channels, (0.3,) * channels, True, 64, 64)
    image, jigsaw = PIRL.views(PIRLSettings(), traits)(picture(size, channels))
    side = size // int(tiles**0.5)
    assert image.shape == (channels, size, size)
    assert jigsaw.shape == (tiles, channels, side, side)
    assert jigsaw.min() >= 0 and jigsaw.max() <= 1
    torch.manual_seed(0)
    method = PIRL(build("resnet9_slim", traits), PIRLSettings(), traits)
    assert torch.isfinite(method(batch_of(image.expand(8, -1, -1, -1), jigsaw.expand(8, -1, -1, -1, -1)), 0.0).total)


def test_pirls_tiles_are_those_of_the_image_in_another_order() -> None:
    np.random.seed(0)  # noqa: NPY002  (lightly draws from numpy's global generator)
    settings = PIRLSettings(jitter=0.0, jigsaw_scale=1.0)
    traits = Traits(1, 28, 10, (0.3,), (0.3,), False, 64, 64)
    pixels = np.arange(28 * 28, dtype=np.int64).reshape(28, 28) * 7 % 251
    orders = set()
    for _ in range(5):
        torch.manual_seed(0)
        whole = torch.from_numpy(pixels).float() / 255
        _, jigsaw = PIRL.views(settings, traits)(Image.fromarray(pixels.astype(np.uint8)))
        cells = [whole[r * 9 : r * 9 + 9, c * 9 : c * 9 + 9] for r in range(3) for c in range(3)]
        order = tuple(min(range(9), key=lambda k: (cells[k] - tile[0]).abs().sum().item()) for tile in jigsaw)
        orders.add(order)
    assert len(orders) > 1
    assert all(sorted(order) == list(range(9)) for order in orders)


def test_pirls_loss_excludes_the_image_itself_from_the_negatives() -> None:
    torch.manual_seed(0)
    queries, positives = torch.randn(3, 8), normalize(torch.randn(3, 8), dim=1)
    negatives, others = normalize(torch.randn(5, 8), dim=1), torch.rand(3, 5) > 0.3
    total = 0.0
    for query, positive, mine in zip(normalize(queries, dim=1), positives, others, strict=True):
        scores = torch.exp(torch.stack([query @ positive, *(negatives[mine] @ query)]) / 0.07)
        total -= torch.log(scores[0] / scores.sum()) / 3
    torch.testing.assert_close(memory_loss(queries, positives, negatives, others, 0.07), total)


def test_the_memory_stores_the_first_embedding_and_averages_later_ones() -> None:
    torch.manual_seed(0)
    memory = Memory(10, 4, momentum=0.5)
    untouched = memory.entries.clone()
    first, second = normalize(torch.randn(3, 4), dim=1), normalize(torch.randn(3, 4), dim=1)
    rows = torch.tensor([7, 2, 5])
    assert torch.equal(memory.recall(rows, first), first)
    memory.update(rows, first)
    torch.testing.assert_close(memory.recall(rows, second), first)
    resumed = Memory(10, 4, momentum=0.5)
    resumed.load_state_dict(memory.state_dict())
    resumed.update(rows, second)
    torch.testing.assert_close(resumed.entries[rows], normalize(first + second, dim=1))
    assert torch.equal(resumed.entries[[0, 1, 3, 4, 6, 8, 9]], untouched[[0, 1, 3, 4, 6, 8, 9]])
    entries, others = resumed.sample(rows, 50, torch.Generator().manual_seed(0))
    for entry, row in zip(entries, others.T, strict=True):
        number = (resumed.entries == entry).all(dim=1).nonzero().item()
        assert row.tolist() == [number != mine for mine in rows.tolist()]
