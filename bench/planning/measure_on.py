"""``--measure-on``: the other data sets on which the encoders of a request are measured too."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.data import catalogue as datasets
from bench.data.describe import description
from bench.data.spec import DatasetSpec
from bench.errors import SslbenchError
from bench.planning.placeholder import must_be_downloaded, notice, placeholder
from bench.planning.plan import OtherSet
from protocols import catalogue as protocols
from protocols.transfer import transfer_ids

if TYPE_CHECKING:
    from bench.data.dataset import Dataset


@dataclass(frozen=True)
class LoadedSet:
    """Another data set, and what the plan says about it.

    Attributes:
        planned: What each run receives.
        dataset: Its images, or their numbers if they are not on this machine.
        lines: Lines for the user.
    """

    planned: OtherSet
    dataset: "Dataset"
    lines: tuple[str, ...]

    @property
    def entries(self) -> list["protocols.Entry"]:
        """The protocols that measure on it."""
        return [protocols.resolve(id) for id in transfer_ids(self.planned.name)]


def load_others(
    names: Sequence[str], own_spec: DatasetSpec, own: "Dataset", *, own_is_complete: bool, download: bool
) -> list[LoadedSet]:
    """Load the data sets of ``--measure-on``.

    Args:
        names: Values of the option.
        own_spec: The data set of pretraining; the others have its data root and task.
        own: The same, loaded.
        own_is_complete: Whether its images are on this machine.
        download: Whether a data set whose files are missing is downloaded; if not, its numbers are those of the catalogue.

    Raises:
        SslbenchError: A data set cannot be loaded, or has the very same images as another one of the request.
    """
    found: list[LoadedSet] = []
    for name in names:
        spec = other_spec(name, own_spec, own.traits.size)
        complete = download or not must_be_downloaded(spec)
        dataset = spec.load() if complete else placeholder(spec)
        if complete and own_is_complete and dataset.fingerprint == own.fingerprint:
            raise SslbenchError(
                f"--measure-on {name}: has the same images as --dataset {own_spec.name}, so this is no transfer; name another data set"
            )
        if dataset.name in [other.dataset.name for other in found]:
            raise SslbenchError(f"--measure-on {name}: the same images are given twice; give each data set once")
        lines = _lines(dataset, own) if complete else [notice(spec)]
        planned = OtherSet(spec, dataset.name, dataset.fingerprint)
        found.append(LoadedSet(planned, dataset, tuple(f"measured on {dataset.name}: {line}" for line in lines)))
    return found


def other_spec(name: str, own: DatasetSpec, size: int) -> DatasetSpec:
    """Return another data set as it is loaded next to that of pretraining: in the same size and with the same flips, where these apply.

    Args:
        name: The other data set's name.
        own: The data set of pretraining.
        size: Side of its images in pixels.
    """
    entry = datasets.resolve(name)
    return replace(
        own,
        name=name,
        image_size=size if entry.resizable else None,
        flip=own.flip if entry.prefix is not None else None,
    )


def _lines(dataset: "Dataset", own: "Dataset") -> Iterator[str]:
    yield from description(dataset)
    traits, wanted = dataset.traits, own.traits
    if traits.size != wanted.size:
        yield f"images are resized to the encoder's size ({wanted.size}×{wanted.size} pixels if it is trained on {own.name})"
    if traits.channels > wanted.channels:
        yield f"images become grey for an encoder that takes grey images, as one that is trained on {own.name}"
    if seen := dataset.test_images_in(own):
        yield (
            f"{seen:,} of {len(dataset.test_images):,} images to measure on are also images of {own.name} (equal pixels), which "
            "pretraining sees: scores are too high"
        )
