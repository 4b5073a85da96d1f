"""A data set by the catalogue's numbers, for the plan of ``--dry-run`` if the files are not on this machine."""

import numpy as np
import torch

from bench.data.catalogue import resolve
from bench.data.dataset import Dataset, SealedLabels
from bench.data.development import FOLDS, fold_name
from bench.data.locate import available
from bench.data.spec import DatasetSpec
from bench.data.splits import VAL, folds, stratified
from bench.errors import SslbenchError
from methods.traits import Traits


def must_be_downloaded(spec: DatasetSpec) -> bool:
    """Return whether loading this data set would download it.

    Raises:
        SslbenchError: That cannot be known, because only the library that loads the set knows it.
    """
    entry = resolve(spec.name)
    if entry.prefix is not None and not entry.is_path and available(spec.name, spec.data_root) is None:
        raise SslbenchError(
            f"{spec.name} may have to be downloaded, and a dry run downloads nothing: look at it first by `sslbench inspect`"
        )
    published = bool(entry.forms) and entry.train is not None
    return published and available(spec.name, spec.data_root) is None


def notice(spec: DatasetSpec) -> str:
    """Return the line of a plan that was made without the images."""
    return (
        f"the files of {spec.name} are not on this machine, and a dry run downloads nothing: this plan is by the catalogue's numbers, "
        "and which runs are recorded is not known"
    )


def placeholder(spec: DatasetSpec) -> Dataset:
    """Return a published data set with the right numbers and sizes, but without images: all are zero and take no memory."""
    entry = resolve(spec.name)
    assert entry.train is not None and entry.classes is not None and entry.channels is not None
    size = spec.image_size or entry.size
    labels = torch.arange(entry.train) % entry.classes
    names = [str(number) for number in range(entry.classes)]
    test = torch.arange(entry.test or 0) % entry.classes
    name = spec.name if size == entry.size else f"{spec.name}-{size}"
    if spec.fold is not None:
        inside = torch.from_numpy(folds(labels.numpy(), FOLDS, names) == spec.fold - 1)
        labels, test, name = labels[~inside], labels[inside], fold_name(name, spec.fold)
    elif spec.task == "val":
        rest, taken = stratified(labels.numpy(), VAL, "val", names)
        labels, test = labels[torch.from_numpy(rest)], labels[torch.from_numpy(taken)]
    _, val = stratified(labels.numpy().astype(np.int64), VAL, "val", names)

    def images(count: int) -> torch.Tensor:
        return torch.zeros(1, dtype=torch.uint8).expand(count, entry.channels or 1, size, size)

    half = (0.5,) * entry.channels
    unlabelled = entry.unlabelled or 0
    return Dataset(
        name=name,
        fingerprint="unknown",
        traits=Traits(
            channels=entry.channels,
            size=size,
            classes=entry.classes,
            mean=half,
            std=half,
            horizontal_flip=entry.horizontal_flip,
            images=len(labels) + unlabelled,
            train=len(labels),
        ),
        class_names=names,
        train_images=images(len(labels)),
        train_labels=labels,
        test_images=images(len(test)),
        test_labels=SealedLabels(test, development=spec.task == "val"),
        unlabelled_images=images(unlabelled) if unlabelled else None,
        val=torch.from_numpy(val),
    )
