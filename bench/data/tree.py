"""``Tree``: the files and folders of a directory or zip, without folders that only contain one other folder."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from bench.data.kinds import by_kind, is_document, is_image
from bench.data.part_names import composed, part_of

Path = tuple[str, ...]
"""Folders and name of a file, in Unicode's composed form."""
_MOST_LISTED = 10


class Tree:
    """Files and folders by their paths in Unicode's composed form.

    Args:
        names: Paths of all files, with ``/``, in the order in which images are returned.
        folders: Paths of all folders, with ``/``; only empty ones are needed.

    Attributes:
        images: Path of an image, as it was given -> its folders and name.
    """

    def __init__(self, names: Sequence[str], folders: Sequence[str] = ()) -> None:
        self._files: dict[str, Path] = {name: _path(name) for name in names}
        self._folders = [_path(folder) for folder in folders]
        while (wrapper := self._wrapper()) is not None:
            self._files = {name: path[1:] if path[0] == wrapper else path[-1:] for name, path in self._files.items()}
            self._folders = [path[1:] for path in self._folders if path[0] == wrapper and len(path) > 1]
        self.images: dict[str, Path] = {name: path for name, path in self._files.items() if is_image(name)}

    @property
    def tops(self) -> list[str]:
        """Folders at the top that contain images."""
        return list(dict.fromkeys(path[0] for path in self.images.values() if len(path) > 1))

    def below(self, folder: Path) -> dict[str, list[str]]:
        """Return the images below each folder of a folder."""
        depth = len(folder)
        found: dict[str, list[str]] = {}
        for name, path in self.images.items():
            if path[:depth] == folder and len(path) > depth + 1:
                found.setdefault(path[depth], []).append(name)
        return found

    def files_below(self, folder: Path) -> dict[str, list[str]]:
        """Return all files below each folder of a folder; none for an empty folder."""
        depth = len(folder)
        found: dict[str, list[str]] = {
            path[depth]: [] for path in self._folders if path[:depth] == folder and len(path) > depth
        }
        for name, path in self._files.items():
            if path[:depth] == folder and len(path) > depth + 1:
                found.setdefault(path[depth], []).append(name)
        return found

    def unwrap_part(self, top: str) -> None:
        """Move the content of ``train/train/`` to ``train/``, if there is no other folder in ``train/``."""
        while len(inside := list(self.below((top,)))) == 1 and part_of(inside[0]) == part_of(top):
            wrapper = (top, inside[0])
            self._files = {name: _without(wrapper, path) for name, path in self._files.items()}
            self.images = {name: _without(wrapper, path) for name, path in self.images.items()}
            self._folders = [_without(wrapper, path) for path in self._folders if path != wrapper]

    def other_files(self) -> dict[str, int]:
        """Return kind -> number of the files that are not images."""
        return by_kind(name for name in self._files if name not in self.images)

    def summary(self) -> str:
        """Return what is in the folder, for an error message."""
        counts = Counter(path[0] if len(path) > 1 else "" for path in self.images.values())
        bare = counts.pop("", 0)
        found = [f"{count} images in {top}/" for top, count in counts.most_common(_MOST_LISTED)]
        found += [f"{bare} images in no folder"] * bool(bare)
        found += [f"{count} {kind}" for kind, count in self.other_files().items()]
        return f"found {', '.join(found)}" if found else "found no files"

    def _wrapper(self) -> str | None:
        """Return the only folder at the top if all of its images are in folders below, unless its name is that of a part."""
        content = [path for name, path in self._files.items() if len(path) > 1 and not is_document(name)]
        tops = {path[0] for path in content}
        if len(tops) != 1 or any(len(path) == 2 for path in content):
            return None
        (top,) = tops
        return None if part_of(top) else top


def listed(names: Iterable[str], ending: str = "/") -> str:
    """Return the first names for a message, and the number of the others."""
    names = list(names)
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(f"{name}{ending}" for name in names[:_MOST_LISTED]) + more


def in_order(classes: dict[str, list[str]], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, class) of the images of all classes in the order of ``names``."""
    class_of = {name: class_name for class_name, paths in classes.items() for name in paths}
    return ((name, class_of[name]) for name in names if name in class_of)


def _path(name: str) -> Path:
    return PurePosixPath(composed(name)).parts


def _without(wrapper: Path, path: Path) -> Path:
    """Return a path without the second of the two folders that it begins with."""
    return (path[0], *path[2:]) if path[:2] == wrapper else path
