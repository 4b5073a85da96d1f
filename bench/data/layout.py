"""Find the part and class of each image in a folder: ``train/<class>/…`` with ``test``, ``val``, ``unlabelled``, or only ``<class>/…``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.data.kinds import by_kind, is_document
from bench.data.part_names import Part, part_of
from bench.data.tree import Path, Tree, in_order, listed
from bench.errors import SslbenchError
from bench.printable import printable

FORMS = "put the images into train/<class>/… and test/<class>/…, or only into <class>/…"
Classes = dict[str, list[str]]
"""Class name -> paths of its images."""


@dataclass(frozen=True)
class Layout:
    """The images of a folder by part; labelled ones as (path in the folder, label).

    Attributes:
        class_names: Sorted; a label is an index into them.
        train: At least one image per class.
        test: From ``test/``, or from ``val/`` if ``test/`` is missing or is not sorted into classes; empty if there is neither.
        unlabelled: Paths in the folder.
        left_out: Kind -> number of files that are not used.
        notes: How the parts were chosen, one line each.
    """

    class_names: Sequence[str]
    train: Sequence[tuple[str, int]]
    test: Sequence[tuple[str, int]]
    unlabelled: Sequence[str]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


def layout(names: Sequence[str], where: str, folders: Sequence[str] = ()) -> Layout:
    """Sort the files of a folder into parts and classes.

    Args:
        names: Paths of all files in the folder, with ``/``; the images keep this order.
        where: Name of the folder in error messages.
        folders: Paths of its folders, to report empty ones.

    Raises:
        SslbenchError: There are fewer than two classes, ``train`` and ``test`` have different classes, parts and classes are mixed, a
            part is there twice, or no file of a class is an image.
    """
    try:
        return _Reading(Tree(names, folders)).layout(names)
    except SslbenchError as cause:
        raise SslbenchError(printable(f"{where} {cause}")) from None


class _Reading:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.notes: list[str] = []
        self.unused: dict[str, list[str]] = {}

    def layout(self, names: Sequence[str]) -> Layout:
        parts = self._parts()
        structured = any(part != "unlabelled" for part in parts)
        train, test = self._train_and_test(parts) if structured else (self._only_classes(parts), {})
        classes = sorted(train)
        if len(classes) < 2:
            found = f"a single class, {classes[0]}" if classes else "no class"
            raise SslbenchError(f"has {found} ({self.tree.summary()}): {FORMS}")
        self._check_no_part_below(train, depth=2 if structured else 1)
        label = {class_name: number for number, class_name in enumerate(classes)}
        labelled = [[(name, label[found]) for name, found in in_order(part, names)] for part in (train, test)]
        top = parts.get("unlabelled")
        unlabelled = [name for name, path in self.tree.images.items() if len(path) > 1 and path[0] == top]
        used = {name for name, _ in (*labelled[0], *labelled[1])} | set(unlabelled)
        return Layout(classes, labelled[0], labelled[1], unlabelled, self._left_out(used), self.notes)

    def _parts(self) -> dict[Part, str]:
        """Return the folder of each part that contains images.

        Raises:
            SslbenchError: Two folders are the same part, or other folders of images are next to ``train``, ``test`` or ``val``.
        """
        parts: dict[Part, str] = {}
        others: list[str] = []
        for top in self.tree.tops:
            part = part_of(top)
            if part is None:
                others.append(top)
            elif part in parts:
                raise SslbenchError(f"has {parts[part]}/ and {top}/, which are the same part: keep one of them")
            else:
                parts[part] = top
        labelled = [top for part, top in parts.items() if part != "unlabelled"]
        if others and labelled:
            raise SslbenchError(
                f"has parts ({listed(labelled)}) and other folders of images ({listed(others)}) next to each other: {FORMS}; "
                "rename a class that is called like a part"
            )
        for top in parts.values():
            self.tree.unwrap_part(top)
        return parts

    def _only_classes(self, parts: Mapping[Part, str]) -> Classes:
        classes = self.tree.below(())
        classes.pop(parts.get("unlabelled", ""), None)
        self._check_readable((), classes)
        self.notes.append("there is no test part: a fifth of each class is taken from the images for it")
        return classes

    def _train_and_test(self, parts: Mapping[Part, str]) -> tuple[Classes, Classes]:
        """Return the images of ``train`` and of the test part, which is the first of ``test`` and ``val`` that is sorted into classes."""
        if "train" not in parts:
            raise SslbenchError(f"has {listed(parts.values())} but no images in train/: {FORMS}")
        top = parts["train"]
        train = self.tree.below((top,))
        self._check_readable((top,), train)
        if not train:
            raise SslbenchError(f"has no class: no class folders in {top}/ ({self.tree.summary()}): {FORMS}")
        others = {parts[part]: self.tree.below((parts[part],)) for part in ("test", "val") if part in parts}
        labelled = [part for part, classes in others.items() if classes.keys() & train.keys()]
        test_top = labelled[0] if labelled else None
        for part, classes in others.items():
            if not labelled and classes:
                raise SslbenchError(f"has no class of {top}/ in {part}/, only {listed(classes)}: {FORMS}")
            if part != test_top:
                reason = f"{test_top}/ is the test part" if part in labelled else "they are not in class folders"
                images = [name for name, path in self.tree.images.items() if len(path) > 1 and path[0] == part]
                self.unused[f"images of {part}/, because {reason}"] = images
        if test_top is None:
            self.notes.append(f"there is no labelled test part: a fifth of each class is taken from {top}/ for it")
            test: Classes = {}
        else:
            test = others[test_top]
            self._check_readable((test_top,), test)
            _check_same_classes(top, train, test_top, test)
            if part_of(test_top) == "val":
                self.notes.append(f"{test_top}/ is the test part")
        for class_name in train:
            if part_of(class_name) and class_name not in test:
                raise SslbenchError(
                    f"has {top}/{class_name}/, which is called like a part: move it next to {top}/, or rename it if it is a class"
                )
        return train, test

    def _check_readable(self, folder: Path, classes: Classes) -> None:
        """Raise an error for a folder without images that contains other files; note empty ones."""
        for class_name, files in self.tree.files_below(folder).items():
            if class_name in classes or (not folder and part_of(class_name) is not None):
                continue
            shown = "/".join((*folder, class_name))
            if not files:
                self.notes.append(f"{shown}/ is empty, so it is not a class")
            elif folder or not all(map(is_document, files)):
                kinds = ", ".join(f"{count} {kind}" for kind, count in by_kind(files).items())
                raise SslbenchError(
                    f"has no image that can be read in {shown}/, only {kinds}: convert them to PNG or JPEG, or remove {shown}/"
                )

    def _check_no_part_below(self, classes: Classes, depth: int) -> None:
        """Raise an error for ``<class>/train/…``: its parts would be mixed."""
        for class_name, names in classes.items():
            folders = dict.fromkeys(folder for name in names for folder in self.tree.images[name][depth:-1])
            if part := next(filter(part_of, folders), None):
                raise SslbenchError(
                    f"has a folder {part}/ in class {class_name}/, but parts are the outer folders: {FORMS}"
                )

    def _left_out(self, used: set[str]) -> dict[str, int]:
        counts = {reason: len(names) for reason, names in self.unused.items() if names}
        unused = {name for names in self.unused.values() for name in names}
        if bare := sum(name not in used and name not in unused for name in self.tree.images):
            counts["images in no class folder"] = bare
        return counts | self.tree.other_files()


def _check_same_classes(top: str, train: Classes, test_top: str, test: Classes) -> None:
    only = {top: sorted(train.keys() - test.keys()), test_top: sorted(test.keys() - train.keys())}
    different = [class_name for classes in only.values() for class_name in classes]
    if different:
        where = "; ".join(f"only in {part}/: {listed(classes, '')}" for part, classes in only.items() if classes)
        raise SslbenchError(
            f"has different classes: class {different[0]} is not in both {top}/ and {test_top}/ ({where}): add images of it, or remove it"
        )
