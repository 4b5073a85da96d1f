"""Tasks on real digits for the tests of protocols: pixels as features, a small convolutional network as encoder."""

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
    """Two convolutions with batch norm; an encoder in the sense of ``protocols.base.EncoderLike``."""

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
    """Shifts by up to one pixel; enough for a test that is not about augmentation."""
    views = []
    for _ in range(2 if kind == "views" else 1):
        moves = torch.randint(-1, 2, (len(images), 2), generator=generator)
        rows = (torch.arange(SIZE) + moves[:, :1]).clamp(0, SIZE - 1)
        columns = (torch.arange(SIZE) + moves[:, 1:]).clamp(0, SIZE - 1)
        which = torch.arange(len(images))[:, None, None]
        views.append(images[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2))
    return views


def per_class(labels: Tensor, amount: str, draw: int) -> Tensor:
    chosen = []
    for label in labels.unique():
        places = (labels == label).nonzero().flatten()
        mixed = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(1000 * draw + int(label)))]
        part = amount.removesuffix("pct")
        count = max(1, round(len(places) * float(part) / 100)) if amount.endswith("pct") else int(part)
        chosen.append(mixed[:count])
    return torch.cat(chosen)


def digits() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images and labels of train and test: as many of every class, so that a guess is right once in ten."""
    data = load_digits()
    order = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy((data.images * 15.9).astype("uint8"))[order][:, None]
    labels = torch.from_numpy(data.target).long()[order]
    places = [(labels == label).nonzero().flatten() for label in range(CLASSES)]
    train, test = (
        torch.stack([place[start:stop] for place in places], dim=1).flatten()
        for start, stop in ((0, TRAIN), (TRAIN, TRAIN + TEST))
    )
    return (pixels[train], labels[train]), (pixels[test], labels[test])


def digits_task(
    *, network: bool = False, labels: Tensor | None = None, images: int = 10 * TRAIN, seed: int = 0
) -> Task:
    """A task on scikit-learn's digits; features are pixels, or those of a random small network."""
    (train, truth), (test, _) = digits()
    train, train_labels = train[:images], truth[:images] if labels is None else labels
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

    with torch.no_grad():
        inside, outside = (
            (net.features(prepare(train)), net.features(prepare(test)))
            if network
            else (train.flatten(1).float() / 255, test.flatten(1).float() / 255)
        )
    every = torch.arange(len(train))
    held_out = every % 100 >= 90
    return Task(
        train_images=train,
        train_labels=train_labels,
        train_features=inside,
        test_images=test,
        test_features=outside,
        unlabelled_images=None,
        classes=CLASSES,
        fit=every[~held_out],
        val=every[held_out],
        label_set=lambda amount, draw: per_class(train_labels, amount, draw),
        encoder=fresh if network else None,
        scratch_encoder=scratch if network else None,
        prepare=prepare,
        augment=augment,
        generator=lambda purpose: torch.Generator().manual_seed(seed * 7919 + sum(map(ord, purpose))),
        device=torch.device("cpu"),
    )


@pytest.fixture(scope="session")
def test_labels() -> Tensor:
    """The labels of the images that ``digits_task`` predicts; no protocol sees them."""
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
