"""Tasks on scikit-learn's digits for the tests of protocols: features are pixels or the output of a small network."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from protocols.base import Task

SIZE, CLASSES = 8, 10
TRAIN, TEST = 140, 34


class SmallNetwork(nn.Module):
    """Two convolutions with batch norm; a ``protocols.base.EncoderLike``."""

    dim = map_dim = 16

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
        )

    def feature_map(self, images: Tensor) -> Tensor:
        return self.layers(images)

    def features(self, images: Tensor) -> Tensor:
        return self.feature_map(images).mean(dim=(2, 3))


def prepare(images: Tensor) -> Tensor:
    return (images.float() / 255 - 0.3) / 0.38


def augment(images: Tensor, kind: str, generator: torch.Generator) -> list[Tensor]:
    """Shift by up to one pixel, for every kind of augmentation."""
    views = []
    for _ in range(2 if kind == "views" else 1):
        offsets = torch.randint(-1, 2, (len(images), 2), generator=generator)
        rows = (torch.arange(SIZE) + offsets[:, :1]).clamp(0, SIZE - 1)
        columns = (torch.arange(SIZE) + offsets[:, 1:]).clamp(0, SIZE - 1)
        indices = torch.arange(len(images))[:, None, None]
        views.append(images[indices, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2))
    return views


def label_set(labels: Tensor, amount: str, draw: int) -> Tensor:
    """Return a random label set of an amount such as ``5`` (per class) or ``10pct``."""
    chosen = []
    for label in labels.unique():
        indices = (labels == label).nonzero().flatten()
        generator = torch.Generator().manual_seed(1000 * draw + int(label))
        shuffled = indices[torch.randperm(len(indices), generator=generator)]
        number = amount.removesuffix("pct")
        count = max(1, round(len(indices) * float(number) / 100)) if amount.endswith("pct") else int(number)
        chosen.append(shuffled[:count])
    return torch.cat(chosen)


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images and labels of train and test; classes have equal sizes, so that chance is exactly one in ten."""
    data = load_digits()
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy((data.images * 15.9).astype("uint8"))[order][:, None]
    labels = torch.from_numpy(data.target).long()[order]
    by_class = [(labels == label).nonzero().flatten() for label in range(CLASSES)]
    train, test = (
        torch.stack([indices[start:stop] for indices in by_class], dim=1).flatten()
        for start, stop in ((0, TRAIN), (TRAIN, TRAIN + TEST))
    )
    return (pixels[train], labels[train]), (pixels[test], labels[test])


def digits_task(
    *, network: bool = False, labels: Tensor | None = None, images: int = 10 * TRAIN, seed: int = 0
) -> Task:
    """A task on scikit-learn's digits; features are pixels, or those of a small network with random weights."""
    (train, true_labels), (test, _) = digits()
    train, train_labels = train[:images], true_labels[:images] if labels is None else labels
    torch.manual_seed(seed)
    net = SmallNetwork()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        net.features(prepare(train))
    net.eval()

    def fresh() -> nn.Module:
        copy = SmallNetwork()
        copy.load_state_dict(net.state_dict())
        return copy.eval()

    def scratch(generator: torch.Generator) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(generator.initial_seed())
            return SmallNetwork()

    @torch.no_grad()
    def features_of(images: Tensor) -> Tensor:
        return net.features(prepare(images)) if network else images.flatten(1).float() / 255

    indices = torch.arange(len(train))
    held_out = indices % 100 >= 90
    return Task(
        train_images=train,
        train_labels=train_labels,
        train_features=features_of(train),
        test_images=test,
        test_features=features_of(test),
        unlabelled_images=None,
        classes=CLASSES,
        fit=indices[~held_out],
        val=indices[held_out],
        label_set=lambda amount, draw: label_set(train_labels, amount, draw),
        encoder=fresh if network else None,
        scratch_encoder=scratch if network else None,
        prepare=prepare,
        augment=augment,
        features_of=features_of,
        generator=lambda purpose: torch.Generator().manual_seed(seed * 7919 + sum(map(ord, purpose))),
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="session")
def test_labels() -> Tensor:
    """The test labels of ``digits_task``; no protocol sees them."""
    return digits()[1][1]


@pytest.fixture(scope="session")
def make_task() -> Callable[..., Task]:
    return digits_task


@pytest.fixture(scope="session")
def pixels_task() -> Task:
    return digits_task()


@pytest.fixture(scope="session")
def network_task() -> Task:
    return digits_task(network=True)


@pytest.fixture
def without_network(pixels_task: Task) -> Task:
    return replace(pixels_task, encoder=None, scratch_encoder=None)
