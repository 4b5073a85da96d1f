"""Load plugins: files, modules and installed packages that define methods and protocols."""

import importlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from bench.errors import SslbenchError
from bench.registry.methods import add_encoder, add_module, load_entry_point, method_classes


def load_plugin(source: str) -> list[str]:
    """Import a plugin, a file or a module name, and return the ids of the methods and protocols that it defines.

    A method's id is the name of its file or module, also for a function that returns an encoder. Protocols are the ``Entry`` objects
    in the module's ``PROTOCOLS``.

    Raises:
        SslbenchError: It cannot be imported, it defines nothing, or its name is already used.
    """
    module = _import(source)
    name = module.__name__.rpartition(".")[2]
    defined = []
    if method_classes(module):
        add_module(name, module, source)
        defined.append(name)
    entries = getattr(module, "PROTOCOLS", ())
    if entries:
        from protocols.catalogue import add

        for entry in entries:
            try:
                add(entry)
            except ValueError as error:
                raise SslbenchError(f"plugin {source}: {error}") from error
            defined.append(entry.id)
    if not defined:
        from bench.pretrained.plugin_function import find_encoder_function

        encoder = find_encoder_function(module)
        if encoder is None:
            raise SslbenchError(
                f"plugin {source}: defines neither a Method subclass, nor PROTOCOLS entries, nor a function that returns an encoder"
            )
        add_encoder(name, encoder, module, source)
        defined.append(name)
    return defined


def load_installed_protocols() -> None:
    """Register the protocols of installed packages, by the entry point ``sslbench.protocols``."""
    from protocols.catalogue import add

    for point in entry_points(group="sslbench.protocols"):
        add(load_entry_point(point))


def _import(source: str) -> ModuleType:
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
            raise SslbenchError(f"plugin {source}: a module named '{path.stem}' is already loaded; rename the file")
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
