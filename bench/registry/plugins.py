"""Load plugins: files, modules and installed packages that define methods and protocols."""

import importlib
import linecache
import re
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from bench.errors import SslbenchError
from bench.foreign_code import blamed_on
from bench.registry import methods, protocols
from bench.registry.content import files_and_content, hash_of, home_of, own_files
from bench.registry.plugin_import import check_names, forget, import_file


@dataclass
class _Plugin:
    """A plugin that is loaded in this process: its files, their content, and the ids of the methods and protocols that it defines."""

    files: list[Path]
    content: str
    defined: list[str] = field(default_factory=list)


_loaded: dict[str, _Plugin] = {}
"""Loaded plugins by absolute path or module name."""


def load_plugin(source: str) -> list[str]:
    """Import a plugin, a file or a module name, and return the ids of the methods and protocols that it defines.

    A method's id is the name of its file or module, also for a function that returns an encoder. Protocols are the ``Entry`` objects
    in the module's ``PROTOCOLS``. A plugin that is loaded already is loaded again only if its content has changed.

    Raises:
        SslbenchError: It cannot be imported, it defines nothing or something that the contract does not allow, or a name is already
            used. Whatever its code raises becomes this error, with its file and line.
    """
    what = f"plugin {source}"
    file = _file(source)
    key = source if file is None else str(file)
    known = _loaded.get(key)
    if known is not None:
        if hash_of(known.files, home_of(key if file is None else file.stem, known.files[0])) == known.content:
            return list(known.defined)
        _remove(key)
    with blamed_on(what):
        module, plugin = _import_module(source) if file is None else _import_path(source, file)
        _loaded[key] = plugin
        try:
            _register(module, plugin, source)
        except BaseException:
            _remove(key)
            raise
    return list(plugin.defined)


def load_installed_protocols() -> None:
    """Register the protocols of installed packages, by the entry point ``sslbench.protocols``."""
    for point in entry_points(group="sslbench.protocols"):
        protocols.add(methods.load_entry_point(point), f"installed package: {point.value}", point.module)


def _register(module: ModuleType, plugin: _Plugin, source: str) -> None:
    name = module.__name__.rpartition(".")[2]
    if methods.method_classes(module):
        methods.add_module(name, module, source, plugin.content)
        plugin.defined.append(name)
    for entry in protocols.entries_of(module):
        protocols.add(entry, f"plugin {source}", module.__name__, plugin.content)
        plugin.defined.append(entry.id)
    if plugin.defined:
        return
    from bench.pretrained.plugin_function import find_encoder_function

    encoder = find_encoder_function(module)
    if encoder is None:
        raise SslbenchError(
            f"plugin {source}: defines neither a Method subclass, nor PROTOCOLS entries, nor a function that returns an encoder"
        )
    if len(plugin.files) > 1:
        encoder = replace(encoder, source=encoder.source + plugin.content)
    methods.add_encoder(name, encoder, module, source)
    plugin.defined.append(name)


def _remove(key: str) -> None:
    """Forget a plugin, so that it can be loaded again."""
    plugin = _loaded.pop(key)
    for name in plugin.defined:
        methods.remove(name)
        protocols.remove(name)
    forget(plugin.files)
    for file in plugin.files:
        linecache.checkcache(str(file))


def _file(source: str) -> Path | None:
    """Return the file of a plugin; None if ``source`` is the name of a module."""
    if not source.endswith(".py"):
        if all(part.isidentifier() for part in source.split(".")):
            return None
        raise SslbenchError(f"plugin {source!r}: is neither a Python file (NAME.py) nor the name of a module")
    path = Path(source)
    try:
        exists = path.is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise SslbenchError(f"plugin {source!r:.200}: there is no such file")
    if not re.fullmatch(r"[\w-]+", path.stem):
        raise SslbenchError(f"plugin {source!r}: a method is named like its file; use letters, digits, _ and - only")
    return path.resolve()


def _import_path(source: str, file: Path) -> tuple[ModuleType, _Plugin]:
    home = home_of(file.stem, file)
    files = own_files(file, home)
    check_names(source, files, home)
    content = hash_of(files, home)
    module = import_file(file, file.stem)
    if hash_of(files, home) != content:
        raise SslbenchError(f"plugin {source}: changed while it was loaded; run the command again")
    return module, _Plugin(files, content)


def _import_module(source: str) -> tuple[ModuleType, _Plugin]:
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(source)
    except ModuleNotFoundError as error:
        if error.name != source:
            raise
        hint = f"; for the file write {source}.py" if Path(f"{source}.py").is_file() else ""
        raise SslbenchError(f"plugin {source}: there is no module of this name{hint}") from error
    return module, _Plugin(*files_and_content(module))
