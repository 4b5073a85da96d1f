"""Find the part and class of each file in a folder: ``train/<class>/…`` with ``test``, ``val``, ``unlabelled``, or only ``<class>/…``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.data.decode import SUFFIXES
from bench.errors import SslbenchError


@dataclass(frozen=True)
class Layout:
    """The images of a folder by part; labelled ones as (path in the folder, label).

    Attributes:
        class_names: Sorted; a label is an index into them.
        train: At least one image per class.
        test: From ``test/``, or from ``val/`` if that is missing; empty if both are.
        unlabelled: Paths in the folder.
        ignored: Files that are not images or not in a part or class.
    """

    class_names: Sequence[str]
    train: Sequence[tuple[str, int]]
    test: Sequence[tuple[str, int]]
    unlabelled: Sequence[str]
    ignored: Sequence[str]


def layout(names: Sequence[str], where: str) -> Layout:
    """Sort the files of a folder into parts and classes.

    Args:
        names: Paths in the folder, with ``/``.
        where: Name of the folder in error messages.

    Raises:
        SslbenchError: There are fewer than two classes, or ``train`` and ``test`` have different classes.
    """
    images = {name: PurePosixPath(name).parts for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES}
    while len({parts[0] for parts in images.values()}) == 1 and all(len(parts) > 2 for parts in images.values()):
        images = {name: parts[1:] for name, parts in images.items()}  # a single folder contains all the others
    structured = any(parts[0] == "train" and len(parts) > 2 for parts in images.values())
    tops = {parts[0] for parts in images.values()}
    train: list[tuple[str, str]] = []
    test: list[tuple[str, str]] = []
    unlabelled: list[str] = []
    test_part = "test" if "test" in tops else "val"
    for name, parts in images.items():
        if parts[0] == "unlabelled" and len(parts) > 1:
            unlabelled.append(name)
        elif not structured and len(parts) > 1:
            train.append((name, parts[0]))
        elif structured and len(parts) > 2 and parts[0] in ("train", test_part):
            (train if parts[0] == "train" else test).append((name, parts[1]))
    classes = sorted({class_name for _, class_name in train})
    if len(classes) < 2:
        found = f"a single class, {classes[0]}" if classes else "no class"
        raise SslbenchError(
            f"{where} has {found}: put the images into train/<class>/… and test/<class>/…, or only into <class>/…"
        )
    if test and (unmatched := sorted({class_name for _, class_name in test} ^ set(classes))):
        raise SslbenchError(
            f"{where}: class {unmatched[0]} is not in both train/ and {test_part}/: add images of it, or remove it"
        )
    index = {class_name: label for label, class_name in enumerate(classes)}
    used = {name for name, _ in (*train, *test)} | set(unlabelled)
    return Layout(
        classes,
        [(name, index[class_name]) for name, class_name in train],
        [(name, index[class_name]) for name, class_name in test],
        unlabelled,
        [name for name in names if name not in used],
    )
