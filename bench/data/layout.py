"""Which file of a folder is which part and class: ``train/<class>/…`` with its companions, or ``<class>/…`` alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from bench.data.decode import SUFFIXES
from bench.errors import SslbenchError


@dataclass(frozen=True)
class Layout:
    """The images of a folder, by part; each is (path inside, label).

    Attributes:
        class_names: Sorted; a label is an index into them.
        train: At least one image a class.
        test: From ``test/``, or ``val/`` where that is missing; empty where there is neither.
        unlabelled: Paths inside.
        left_out: Files that are no images or stand in no part or class.
    """

    class_names: Sequence[str]
    train: Sequence[tuple[str, int]]
    test: Sequence[tuple[str, int]]
    unlabelled: Sequence[str]
    left_out: Sequence[str]


def layout(names: Sequence[str], where: str) -> Layout:
    """Sort the files of a folder into parts and classes.

    Args:
        names: Paths inside, with ``/``.
        where: What to call the folder in an error.

    Raises:
        SslbenchError: There is no class, a single one, or one of ``test`` that ``train`` has not, or the other way.
    """
    images = {name: PurePosixPath(name).parts for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES}
    while len({parts[0] for parts in images.values()}) == 1 and all(len(parts) > 2 for parts in images.values()):
        images = {name: parts[1:] for name, parts in images.items()}  # a single folder around all the others
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
    classes = sorted({of for _, of in train})
    if len(classes) < 2:
        found = f"a single class, {classes[0]}" if classes else "no class"
        raise SslbenchError(
            f"{where} has {found}: put the images into train/<class>/… and test/<class>/…, or <class>/… alone"
        )
    if test and (odd := sorted({of for _, of in test} ^ set(classes))):
        raise SslbenchError(
            f"{where}: class {odd[0]} is not in both train/ and {test_part}/: add images of it, or remove it"
        )
    index = {of: label for label, of in enumerate(classes)}
    used = {name for name, _ in (*train, *test)} | set(unlabelled)
    return Layout(
        classes,
        [(name, index[of]) for name, of in train],
        [(name, index[of]) for name, of in test],
        unlabelled,
        [name for name in names if name not in used],
    )
