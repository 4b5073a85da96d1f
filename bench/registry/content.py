"""Content of a plugin: its file and all files of its own folder or package that it imports, directly or through them."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from pathlib import Path
from types import ModuleType

from bench.errors import SslbenchError
from bench.foreign_code import OWN, installed_folders

DIGITS = 12
"""Hex digits of a content."""
IMPORTING = ("import_module", "__import__")
"""Functions whose argument is the name of a module."""
LOADING = (
    "exec",
    "run_path",
    "run_module",
    "iter_modules",
    "walk_packages",
    "spec_from_file_location",
    "SourceFileLoader",
)
"""Functions that load files whose names are computed."""


@dataclass(frozen=True)
class Home:
    """Where a plugin's own modules are.

    Attributes:
        folder: Folder in which the names of its modules start.
        package: Folder of its package if it is part of one; then only files of this package are its own.
        alone: Whether the plugin is a single file of a folder of installed packages, whose other files are not its own.
    """

    folder: Path
    package: Path | None = None
    alone: bool = False

    def owns(self, file: Path) -> bool:
        """Whether a file is the plugin's own: not one of sslbench, of Python or of another installed package."""
        if self.alone or not file.is_relative_to(self.package or self.folder):
            return False
        return not any(
            file.is_relative_to(other) for other in installed_folders() if not self.folder.is_relative_to(other)
        )


def home_of(module_name: str, file: Path) -> Home:
    """Return the home of a module: the folder of its file, or its outermost package."""
    parts = module_name.split(".")
    levels = len(parts) - (0 if file.stem == "__init__" else 1)
    if levels > 0:
        package = file.parents[levels - 1]
        return Home(package.parent, package)
    return Home(file.parent, alone=any(file.parent == folder for folder in installed_folders()))


def own_files(start: Path, home: Home) -> list[Path]:
    """Return ``start`` and every own file that it imports, also within functions, directly or through other own files; sorted.

    If the name of an imported module is computed, all Python files of the package, or directly in the folder, may be meant and are
    returned. Which modules are loaded in this process makes no difference.
    """
    found: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        names, computed = _imports_of(file, home.folder)
        for name in names:
            waiting += [other for other in _files_of(name, home.folder) if home.owns(other)]
        if computed:
            every = home.package.rglob("*.py") if home.package else home.folder.glob("*.py")
            waiting += [other.resolve() for other in every if home.owns(other.resolve()) and other.is_file()]
    return sorted(found)


def file_of(module: ModuleType) -> Path | None:
    """Return the absolute path of a module's file, or None if it has none."""
    try:
        file = getattr(module, "__file__", None)
    except Exception:  # a lazy module may fail to load
        return None
    return Path(file).resolve() if isinstance(file, str) else None


def files_and_content(module: ModuleType) -> tuple[list[Path], str]:
    """Return the own files of a module that was imported by its name, and their content.

    Raises:
        SslbenchError: The module has no file.
    """
    file = file_of(module)
    if file is None or not file.is_file():
        raise SslbenchError(f"plugin {module.__name__}: has no file, so that its versions cannot be told apart")
    home = home_of(module.__name__, file)
    files = own_files(file, home)
    return files, hash_of(files, home)


def content_of_module(module: ModuleType) -> str:
    """Return the content of a module that was imported by its name; raises SslbenchError if it has no file."""
    return files_and_content(module)[1]


def hash_of(files: Iterable[Path], home: Home) -> str:
    """Return the first 12 hex digits of a hash of the names and bytes of files.

    Raises:
        SslbenchError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            data = file.read_bytes()
        except OSError as error:
            raise SslbenchError(f"plugin: {file} cannot be read: {error.strerror or error}") from error
        name = file.relative_to(home.folder).as_posix()
        digest.update(f"{len(name)} {name} {len(data)} ".encode(errors="surrogatepass") + data)
    return digest.hexdigest()[:DIGITS]


def _imports_of(file: Path, folder: Path) -> tuple[list[tuple[str, ...]], bool]:
    """Return the absolute dotted names that a file may import, and whether it imports something whose name is computed."""
    names: list[tuple[str, ...]] = []
    computed = False
    if file.suffix not in SOURCE_SUFFIXES:
        return names, computed
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return names, computed  # its import fails or is never reached; its bytes are part of the content all the same
    package = file.parent.relative_to(folder).parts

    def absolute(level: int, name: str) -> tuple[str, ...]:
        start = package[: len(package) - level + 1] if level else ()
        return (*start, *(name.split(".") if name else ()))

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [absolute(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [(*absolute(node.level, node.module or ""), alias.name) for alias in node.names]
        elif isinstance(node, ast.Call) and _called(node) in IMPORTING and node.args:
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if isinstance(name, str) and all(part.isidentifier() for part in name.lstrip(".").split(".")):
                names.append(absolute(len(name) - len(name.lstrip(".")), name.lstrip(".")))
            else:
                computed = True
        elif isinstance(node, ast.Call) and _called(node) in LOADING:
            computed = True
    return [name for name in names if name and name[0] not in OWN], computed


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _files_of(name: tuple[str, ...], folder: Path) -> Iterator[Path]:
    """Yield the files in ``folder`` that are loaded when the module ``name`` is imported."""
    for length in range(1, len(name) + 1):
        stem = folder.joinpath(*name[:length])
        for suffix in (*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES):
            for file in (stem.parent / f"{stem.name}{suffix}", stem / f"__init__{suffix}"):
                if file.is_file():
                    yield file.resolve()
