"""Sort images with labels into parts, for sources that name a label per image instead of having a folder per class."""

import re
from collections.abc import Mapping, Sequence

from bench.data.layout import Layout
from bench.data.part_names import Part, composed, part_of
from bench.data.tree import listed
from bench.errors import SslbenchError
from bench.printable import printable

Item = tuple[str, str | None]
"""Key of an image, and the name of its class; None or empty if it has no label."""


def sorted_into_parts(parts: Mapping[str, Sequence[Item]], where: str) -> Layout:
    """Return the images by part, by the rules of folders.

    ``train`` needs labels; its images without one are unlabelled. The test part is ``test``, or ``val`` if ``test`` is missing or has no
    labels; images of it without a label are left out. If there is only one part, it is ``train``.

    Args:
        parts: Name of a part, as the source spells it -> its images.
        where: Name of the source in errors.

    Raises:
        SslbenchError: There are fewer than two classes, parts have different classes or mean the same, or there is no ``train``.
    """
    try:
        return _layout({name: items for name, items in parts.items() if items})
    except SslbenchError as cause:
        raise SslbenchError(printable(f"{where} {cause}")) from None


def _layout(parts: Mapping[str, Sequence[Item]]) -> Layout:
    notes: list[str] = []
    left_out: dict[str, int] = {}
    named: dict[Part, str] = {}
    if not parts:
        raise SslbenchError("has no images")
    if len(parts) == 1 and part_of(next(iter(parts))) in (None, "test", "val"):
        only = next(iter(parts))
        if only:
            notes.append(f"{only} is the only part, so it is used as train")
        named["train"] = only
    else:
        for name in parts:
            part = part_of(name)
            if part is None:
                left_out[f"images of {name or 'no part'}, which is none of train, test, val and unlabelled"] = len(
                    parts[name]
                )
            elif part in named:
                raise SslbenchError(f"has {named[part]} and {name}, which are the same part: keep one of them")
            else:
                named[part] = name
    if "train" not in named:
        raise SslbenchError(f"has {listed(parts, '')} but no images in train: name a part train")
    train = _labels(parts[named["train"]])
    classes = sorted(set(train.values()), key=_natural)
    if len(classes) < 2:
        found = f"a single class, {classes[0]}" if classes else "no label in train"
        raise SslbenchError(f"has {found}: at least two classes are needed")
    unlabelled = [key for key, label in parts[named["train"]] if not label]
    if unlabelled:
        notes.append(f"{len(unlabelled):,} images of train have no label and are used as unlabelled images")
    unlabelled += [key for key, _ in parts[named["unlabelled"]]] if "unlabelled" in named else []
    candidates = [named[part] for part in ("test", "val") if part in named]
    test_name = next((name for name in candidates if _labels(parts[name])), None)
    test = {} if test_name is None else _labels(parts[test_name])
    for name in candidates:
        if name != test_name:
            reason = "they have no labels" if not _labels(parts[name]) else f"{test_name} is the test part"
            left_out[f"images of {name}, because {reason}"] = len(parts[name])
        elif without := len(parts[name]) - len(test):
            left_out[f"images of {name} without a label"] = without
    if test_name is None:
        notes.append("there is no labelled test part: a fifth of each class is taken from train for it")
    else:
        _check_same_classes(set(classes), named["train"], set(test.values()), test_name)
        if part_of(test_name) == "val":
            notes.append(f"{test_name} is the test part")
    number = {name: at for at, name in enumerate(classes)}
    train_items, test_items = ([(key, number[label]) for key, label in found.items()] for found in (train, test))
    return Layout(classes, train_items, test_items, unlabelled, left_out, notes)


def _labels(items: Sequence[Item]) -> dict[str, str]:
    return {key: composed(label) for key, label in items if label}


def _check_same_classes(train: set[str], train_name: str, test: set[str], test_name: str) -> None:
    only = {train_name: sorted(train - test, key=_natural), test_name: sorted(test - train, key=_natural)}
    different = [name for names in only.values() for name in names]
    if different:
        places = "; ".join(f"only in {part}: {listed(names, '')}" for part, names in only.items() if names)
        raise SslbenchError(
            f"has different classes: class {different[0]} is not in both {train_name} and {test_name} ({places}): "
            "add images of it, or remove it"
        )


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort the numbers in names by value."""
    return [
        (0, int(part), "") if part.isascii() and part.isdigit() and len(part) < 19 else (1, 0, part)
        for part in re.split(r"([0-9]+)", name)
        if part
    ]
