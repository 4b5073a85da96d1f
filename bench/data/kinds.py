"""Kinds of files by their names: images, documents that accompany them, and everything else; and how left out files are counted."""

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm")
)
"""Endings of image files."""
_DOCUMENTS = frozenset(
    (
        ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".html", ".htm",
        ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".odt", ".ods", ".log", ".py", ".ipynb", ".sh", ".m", ".lst", ".names", ".bib",
        ".md5", ".sha1", ".sha256",
    )
)  # fmt: skip
_DOCUMENT_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "makefile", "notice", "authors", "md5sums", "sha256sums")
)
_MOST_KINDS = 8
_LONGEST_ENDING = 12


def is_image(name: str) -> bool:
    """Return whether a file's ending is that of an image."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def is_document(name: str) -> bool:
    """Return whether a file is a text, table or program that accompanies images; a folder with nothing else is no class."""
    path = PurePosixPath(name)
    return path.suffix.lower() in _DOCUMENTS or path.name.lower() in _DOCUMENT_NAMES


def by_kind(names: Iterable[str]) -> dict[str, int]:
    """Count files by their endings, the most frequent first: ``{".csv files": 2, "files without an ending": 1}``."""
    counts = Counter(_kind(name) for name in names).most_common()
    kinds = dict(counts[:_MOST_KINDS])
    if rest := sum(count for _, count in counts[_MOST_KINDS:]):
        kinds["files of other kinds"] = kinds.get("files of other kinds", 0) + rest
    return kinds


def _kind(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower()
    if not ending:
        return "files without an ending"
    return f"{ending} files" if len(ending) <= _LONGEST_ENDING else "files of other kinds"


class Unsupported(ValueError):
    """A sound image of a kind that is not read."""
