"""Names of hidden and generated files and folders, which are never images: of operating systems, NAS systems and photo programs."""

_SYSTEM = (
    "__macosx", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "$recycle.bin", "recycler",
    "system volume information", "lost+found", "__pycache__",
)  # fmt: skip
"""Of macOS, Windows, Linux and Python."""
_NAS = ("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb")
"""Of Synology and QNAP."""
_PHOTO_PROGRAMS = (
    "thumbnails", "thumbs", "_thumbnails", "_thumbs", "__thumbs", "_vti_cnf", "picasa.ini", "zbthumbnail.info", "pspbrwse.jbf",
    "albumartsmall.jpg",
)  # fmt: skip
"""Thumbnail folders and indexes of photo programs, web galleries and media players."""
_NAMES = frozenset(_SYSTEM + _NAS + _PHOTO_PROGRAMS)
_BEGINNINGS = (".", "~$", "albumart_{", "synophoto_thumb", "synofile_thumb")
"""Hidden files and resource forks begin with a dot, lock files of office programs with ``~$``."""
_ENDINGS = (".lrdata", ".photoslibrary", ".lock")


def generated(path: str) -> bool:
    """Return whether a file is hidden or generated, or is in such a folder; only the path is looked at, with ``/``."""
    return any(_generated(part.casefold()) for part in path.split("/"))


def _generated(name: str) -> bool:
    return name in _NAMES or name.startswith(_BEGINNINGS) or name.endswith(_ENDINGS)
