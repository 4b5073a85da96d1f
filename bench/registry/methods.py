"""Find methods: a file's name is its id; others come by entry points and ``--plugin``."""

import importlib
import importlib.util
import inspect
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import methods
from bench.errors import SslbenchError, unknown
from bench.pretrained.names import is_elsewhere, parse

if TYPE_CHECKING:
    from bench.pretrained.method import Origin
    from methods.base import Method

CONTRACT_FILES = {"base", "traits"}
_plugins: dict[str, ModuleType] = {}
_functions: dict[str, "Origin"] = {}
_elsewhere: dict[str, type["Method"]] = {}


def method_names() -> list[str]:
    """Return the ids of all methods, sorted; imports no torch."""
    folder = Path(next(iter(methods.__path__)))
    built_in = {file.stem for file in folder.glob("*.py")} - CONTRACT_FILES - {"__init__"}
    return sorted(built_in | set(_entry_points()) | set(_plugins) | set(_functions))


def check_method(name: str) -> None:
    """Raise SslbenchError, with the nearest name, where no method is called ``name`` and it names no encoder from elsewhere."""
    if is_elsewhere(name):
        parse(name)
        return
    if name not in method_names():
        raise unknown("method", name, method_names(), "`sslbench list methods` lists them")


def load_method(name: str) -> type["Method"]:
    """Import a method's file and return its one ``Method`` subclass."""
    if name in _elsewhere:
        return _elsewhere[name]
    check_method(name)
    if name in _functions:
        from bench.pretrained.method import method_of

        return method_of(_functions[name])
    if name in _plugins:
        return _method_of(_plugins[name])
    installed = _entry_points().get(name)
    if installed is not None:
        loaded = _loaded(installed)
        return _method_of(loaded) if isinstance(loaded, ModuleType) else _checked(loaded, name)
    return _method_of(importlib.import_module(f"methods.{name}"))


def origin_of(name: str, backbone: str | None) -> "Origin | None":
    """Return where an encoder from elsewhere comes from, by the user's name for it; None for any other method.

    Args:
        name: ``timm:NAME``, ``checkpoint:FILE`` or the name of a plugin.
        backbone: That a checkpoint is for, where the user named it.
    """
    if not is_elsewhere(name):
        return _functions.get(name)
    from bench.pretrained.find import find

    return find(name, backbone)


def plan_elsewhere(planned: str, origin: "Origin") -> None:
    """Let ``load_method`` know an encoder from elsewhere by the name of its records."""
    from bench.pretrained.method import method_of

    _elsewhere[planned] = method_of(origin, planned)


def load_plugin(source: str) -> list[str]:
    """Import a plugin, a file or a module name, and return the ids of the methods and protocols that it brings.

    A method's id is the file's (or module's) name, also where one function returns an encoder. Protocols are the ``Entry``
    objects in the module's ``PROTOCOLS``.

    Raises:
        SslbenchError: It cannot be imported, brings nothing, or its name is taken.
    """
    module = _import_plugin(source)
    brought = []
    name = module.__name__.rpartition(".")[2]
    if _method_classes(module):
        _check_free(name, module, source)
        _method_of(module)
        _plugins[name] = module
        brought.append(name)
    entries = getattr(module, "PROTOCOLS", ())
    if entries:
        from protocols.catalogue import add

        for entry in entries:
            try:
                add(entry)
            except ValueError as error:
                raise SslbenchError(f"plugin {source}: {error}") from error
            brought.append(entry.id)
    if not brought:
        from bench.pretrained.plugin_function import function_of

        encoder = function_of(module)
        if encoder is None:
            raise SslbenchError(
                f"plugin {source}: defines neither a Method subclass, nor PROTOCOLS entries, nor a function that returns an encoder"
            )
        _check_free(name, module, source)
        _functions[name] = encoder
        brought.append(name)
    return brought


def _check_free(name: str, module: ModuleType, source: str) -> None:
    """Raise SslbenchError where another method than this module's has the name."""
    ours = name in _plugins or name in _functions
    if _plugins.get(name, module) is not module or (name in method_names() and not ours):
        raise SslbenchError(f"plugin {source}: a method named '{name}' exists already; rename the file")


def load_installed_protocols() -> None:
    """Register the protocols that installed packages bring through the entry point ``sslbench.protocols``."""
    from protocols.catalogue import add

    for point in entry_points(group="sslbench.protocols"):
        add(_loaded(point))


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="sslbench.methods")}


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever another package does at import
        line = str(error).strip().partition("\n")[0]
        raise SslbenchError(
            f"installed {point.group} '{point.name}' ({point.value}): {type(error).__name__}: {line}"
        ) from error


def _import_plugin(source: str) -> ModuleType:
    path = Path(source)
    try:
        if path.suffix != ".py":
            return importlib.import_module(source)
        if not path.is_file():
            raise SslbenchError(f"plugin {source}: no such file")
        known = sys.modules.get(path.stem)
        if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
            return known
        if known is not None:
            raise SslbenchError(f"plugin {source}: a module named '{path.stem}' is loaded already; rename the file")
        spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
        if spec is None or spec.loader is None:
            raise SslbenchError(f"plugin {source}: is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[path.stem]
            raise
        return module
    except SslbenchError:
        raise
    except Exception as error:
        raise SslbenchError(f"plugin {source}: {type(error).__name__}: {str(error).splitlines()[0]}") from error


def _method_classes(module: ModuleType) -> list[type["Method"]]:
    from methods.base import Method

    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Method) and member.__module__ == module.__name__
    ]


def _method_of(module: ModuleType) -> type["Method"]:
    classes = _method_classes(module)
    if len(classes) != 1:
        found = ", ".join(cls.__name__ for cls in classes) or "none"
        raise SslbenchError(f"method file {module.__name__}: needs exactly one Method subclass, found {found}")
    return _checked(classes[0], module.__name__)


def _checked(cls: type["Method"], name: str) -> type["Method"]:
    missing = [field for field in ("title", "paper", "family", "recipe") if not hasattr(cls, field)]
    if missing:
        raise SslbenchError(f"method {name}: {cls.__name__} does not declare {', '.join(missing)}")
    return cls
