"""Find methods by name: the file name in ``methods/`` is the id; entry points and plugins add others."""

import importlib
import inspect
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import methods
from bench.errors import SslbenchError, unknown
from bench.foreign_code import blamed_on
from bench.pretrained.names import is_pretrained_name, parse_name
from bench.records.record import OWN_NETWORK, Identity
from bench.registry.content import content_of_module

if TYPE_CHECKING:
    from bench.pretrained.method import Origin
    from methods.base import Method

CONTRACT_FILES = {"base", "ranges", "space", "traits"}
"""Files of ``methods/`` that are not methods."""
_modules: dict[str, ModuleType] = {}
"""Plugins loaded in this process that define a method, by method id."""
_encoders: dict[str, "Origin"] = {}
"""Encoders returned by a function of a plugin loaded in this process, by method id."""
_contents: dict[str, str] = {}
"""Content of each plugin or installed package that defines a method, by method id; see ``content.py``."""


def method_names() -> list[str]:
    """Return the ids of all methods, sorted; imports no torch."""
    return sorted(_built_in() | set(_entry_points()) | set(_modules) | set(_encoders))


def _built_in() -> set[str]:
    folder = Path(next(iter(methods.__path__)))
    return {file.stem for file in folder.glob("*.py")} - CONTRACT_FILES - {"__init__"}


def check_method(name: str) -> None:
    """Raise SslbenchError, with the nearest name, if ``name`` is neither a method nor a valid name of an encoder from elsewhere."""
    if is_pretrained_name(name):
        parse_name(name)
        return
    if name not in method_names():
        raise unknown("method", name, method_names(), "`sslbench list methods` lists them")


def load_method(name: str) -> type["Method"]:
    """Import a method's file and return its ``Method`` subclass."""
    check_method(name)
    if name in _encoders:
        from bench.pretrained.method import method_of

        return method_of(_encoders[name])
    if name in _modules:
        return _class_of(_modules[name])
    installed = _entry_points().get(name)
    if installed is None:
        return _class_of(importlib.import_module(f"methods.{name}"))
    if name in _built_in():
        raise SslbenchError(
            f"installed package {installed.value}: its method has the name '{name}' of a method of sslbench; uninstall it"
        )
    loaded = load_entry_point(installed)
    with blamed_on(f"installed {installed.group} '{name}' ({installed.value})"):
        cls = _class_of(loaded) if isinstance(loaded, ModuleType) else _checked(loaded, name)
        if name not in _contents:
            _contents[name] = content_of_module(importlib.import_module(cls.__module__))
    return cls


def content_of(name: str) -> str | None:
    """Return the content of the plugin or package that defines a method; None for a method of sslbench or an encoder's name.

    An encoder from elsewhere has its content in the name of its records.
    """
    if name not in _contents and name in _entry_points():
        load_method(name)
    return _contents.get(name)


def method_of_run(identity: Identity, origin: str | None) -> type["Method"]:
    """Return the method of a run.

    Args:
        identity: The run's identity.
        origin: Name that the user gave for an encoder from elsewhere, else None.

    Raises:
        SslbenchError: The plugin that defines the method has another content than when the run was planned.
    """
    if origin is None:
        method = load_method(identity.method)
        if content_of(identity.method) != identity.plugin:
            raise SslbenchError(
                f"method {identity.method}: its plugin changed after the run was planned; run the command again"
            )
        return method
    from bench.pretrained.method import method_of

    source = origin_of(origin, None if identity.backbone == OWN_NETWORK else identity.backbone)
    assert source is not None
    return method_of(source, identity.method)


def origin_of(name: str, backbone: str | None) -> "Origin | None":
    """Return the origin of an encoder from elsewhere; None for any other method.

    Args:
        name: ``timm:NAME``, ``timm:NAME@FILE``, ``hf-model:DIR``, ``checkpoint:FILE`` or the name of a plugin.
        backbone: Value of ``--backbone``, which a checkpoint may need, or None.
    """
    if not is_pretrained_name(name):
        return _encoders.get(name)
    parsed = parse_name(name)
    if parsed.timm is not None:
        from bench.pretrained.timm_models import TimmModel

        return TimmModel(parsed.timm, parsed.file)
    if parsed.folder is not None:
        from bench.pretrained.transformers_models import TransformersModel

        return TransformersModel(parsed.folder)
    from bench.pretrained.checkpoint_file import CheckpointFile

    assert parsed.file is not None
    return CheckpointFile(parsed.file, backbone)


def add_module(name: str, module: ModuleType, source: str, content: str) -> None:
    """Register a plugin's method in this process.

    Args:
        name: The method's id.
        module: The plugin.
        source: Value of ``--plugin``, for error messages.
        content: Content of the plugin.

    Raises:
        SslbenchError: Another method has this name, or the class does not keep the contract.
    """
    _check_free(name, module, source)
    _checked(_class_of(module), name)
    _modules[name] = module
    _contents[name] = content


def remove(name: str) -> None:
    """Remove the method or encoder of a plugin; does nothing for any other name."""
    for known in (_modules, _encoders, _contents):
        known.pop(name, None)


def add_encoder(name: str, origin: "Origin", module: ModuleType, source: str) -> None:
    """Register the encoder that a plugin returns in this process; other arguments and errors are those of ``add_module``."""
    _check_free(name, module, source)
    _encoders[name] = origin


def _check_free(name: str, module: ModuleType, source: str) -> None:
    """Raise SslbenchError if a method of another module has this name."""
    from_plugin = name in _modules or name in _encoders
    if _modules.get(name, module) is not module or (name in method_names() and not from_plugin):
        raise SslbenchError(f"plugin {source}: a method named '{name}' already exists; rename the file")


def load_entry_point(point: EntryPoint) -> Any:
    """Load an entry point of an installed package.

    Raises:
        SslbenchError: Its import fails.
    """
    with blamed_on(f"installed {point.group} '{point.name}' ({point.value})"):
        return point.load()


def method_classes(module: ModuleType) -> list[type["Method"]]:
    """Return the ``Method`` subclasses that a module defines."""
    from methods.base import Method

    return [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Method) and member.__module__ == module.__name__
    ]


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="sslbench.methods")}


def _class_of(module: ModuleType) -> type["Method"]:
    classes = method_classes(module)
    if len(classes) != 1:
        names = ", ".join(cls.__name__ for cls in classes) or "none"
        raise SslbenchError(f"method file {module.__name__}: needs exactly one Method subclass, found {names}")
    return classes[0]


def _checked(cls: Any, name: str) -> type["Method"]:
    """Return the class of a method that is not sslbench's own, if it keeps the contract."""
    from bench.registry.class_check import check_class
    from methods.base import Method

    if not isinstance(cls, type) or not issubclass(cls, Method):
        raise SslbenchError(f"method {name}: is {cls!r:.60}; it must be a subclass of Method")
    check_class(cls, name)
    return cls
