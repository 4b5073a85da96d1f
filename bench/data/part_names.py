"""Names of the parts of a data set, as published folders spell them: ``train``, ``Training``, ``test_set``, ``valid``, ``unlabeled``."""

import re
import unicodedata
from functools import lru_cache
from typing import Literal

Part = Literal["train", "test", "val", "unlabelled"]
_SPELLINGS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst"),
    "val": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "unlabelled": ("unlabelled", "unlabeled", "unlabel", "unsupervised", "unsup"),
}
_PARTS = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
_ADDITION = re.compile(r"(?<=.)(data|dataset|set|images|image|imgs|img|pictures|split)$")
_NUMBER = re.compile(r"(?<=[^\W\d])\d{1,4}$|(?<=[a-z])[AB]$")
"""``train2017``, ``test1``, ``trainA``."""


def composed(name: str) -> str:
    """Return a name as people see it: in Unicode's composed form, in which macOS and Linux agree."""
    return unicodedata.normalize("NFC", name)


@lru_cache(maxsize=2**16)
def part_of(folder: str) -> Part | None:
    """Return the part that a folder's name means, or None.

    Case, punctuation and additions do not matter: ``Training``, ``test_set``, ``val-images``, ``train2017``.
    """
    name = _NUMBER.sub("", re.sub(r"[\s_.\-]+", "", unicodedata.normalize("NFKC", folder))).casefold()
    return _PARTS.get(name) or _PARTS.get(_ADDITION.sub("", name))
