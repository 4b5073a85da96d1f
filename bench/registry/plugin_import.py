"""Import a plugin's file and its helpers, always from their sources, and refuse names that other modules have."""

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType

from bench.errors import SslbenchError
from bench.foreign_code import OWN
from bench.registry.content import Home, file_of


class _FromSource(SourceFileLoader):
    """Loads a module from its source.

    Python recognises cached bytecode only by the size of its source and the second of its last change.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _HelpersOfPlugins(MetaPathFinder):
    """Finds the modules in the folders of plugins; modules that are found elsewhere come first."""

    def __init__(self) -> None:
        self.folders: list[Path] = []

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in OWN:
            return None
        if path is None:
            folders = self.folders if elsewhere(fullname, self.folders) is None else []
        else:
            folders = [Path(p) for p in path if any(Home(folder).owns(Path(p) / "x") for folder in self.folders)]
        for folder in folders:
            found = _finder(folder).find_spec(fullname)
            if found is not None:
                return found
        return None


_helpers = _HelpersOfPlugins()


def import_file(file: Path, name: str) -> ModuleType:
    """Execute a plugin's file as the module ``name`` and return it; its folder becomes importable.

    Args:
        file: Absolute path of the file.
        name: Name of the module.

    Raises:
        BaseException: Whatever the file raises.
    """
    _make_importable(file.parent)
    spec = importlib.util.spec_from_file_location(name, file, loader=_FromSource(name, str(file)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def forget(files: Sequence[Path]) -> None:
    """Remove the modules of these files, so that they are imported again."""
    for name, module in list(sys.modules.items()):
        if file_of(module) in files:
            del sys.modules[name]


def check_names(source: str, files: Sequence[Path], home: Home) -> None:
    """Check that importing each file's name finds this file.

    Raises:
        SslbenchError: Another module has the name of one of the files.
    """
    tops = {home.folder / file.relative_to(home.folder).parts[0]: file for file in files}
    for top, file in tops.items():
        name = top.stem if top == file else top.name
        others = [folder for folder in _helpers.folders if folder != home.folder]
        other = elsewhere(name, [*others, home.folder])
        loaded = sys.modules.get(name)
        if other is None and loaded is not None and file_of(loaded) not in (None, *files):
            other = str(file_of(loaded))
        for folder in others:
            found = _finder(folder).find_spec(name)
            if other is None and found is not None and found.loader is not None:
                other = found.origin
        if other is not None:
            raise SslbenchError(
                f"plugin {source}: the name of {top.name} is already that of another module ({other}); rename {top.name}"
            )


def elsewhere(name: str, without: Sequence[Path]) -> str | None:
    """Return where Python finds the module ``name`` in its path without some folders; None if it does not find it."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return "Python's library"
    folders = [entry for entry in sys.path if Path(entry or ".").resolve() not in without]
    found = PathFinder.find_spec(name, folders)
    return None if found is None or found.loader is None else found.origin


def _make_importable(folder: Path) -> None:
    if _helpers not in sys.meta_path:
        sys.meta_path.insert(0, _helpers)
    if folder not in _helpers.folders:
        _helpers.folders.append(folder)
    # At the end, for worker processes that compute views: they inherit this list.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _finder(folder: Path) -> FileFinder:
    return FileFinder(str(folder), (ExtensionFileLoader, EXTENSION_SUFFIXES), (_FromSource, SOURCE_SUFFIXES))
