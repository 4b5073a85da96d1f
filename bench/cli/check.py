"""``sslbench check``: the contract of a method, checked on anyone's method."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from methods.base import Method


def check(
    method: Annotated[str, typer.Argument(help="A Python file or module with a method, or the name of a method.")],
) -> None:
    """Check that a method keeps the contract: what it declares, learns, saves and returns.

    It is tried on small random images, on a convolutional backbone and on a transformer if it takes both. Exit code 0 if everything is
    in order, 1 if not, 2 if the method cannot be loaded.
    """
    cls = _load(method)
    from bench.device import set_threads
    from bench.registry.class_check import misspelt, unsound_settings
    from bench.training.contract import Verdict, verdicts
    from bench.training.trial import random_images

    set_threads(1)
    failed = 0
    declared = [
        Verdict("names of the contract are spelt right", "; ".join(misspelt(cls)) or None),
        Verdict("settings are frozen and have ranges", "; ".join(unsound_settings(cls)) or None),
    ]
    for verdict in (*declared, *verdicts(cls, random_images())):
        failed += verdict.problem is not None
        _print(verdict.check, verdict.problem)
    raise typer.Exit(1 if failed else 0)


def _print(check: str, problem: str | None) -> None:
    typer.echo(f"ok      {check}" if problem is None else f"failed  {check}: {problem}")


def _load(name: str) -> "type[Method]":
    """Return the class of a method, or of the only method of a plugin."""
    from bench.errors import SslbenchError
    from bench.pretrained.names import is_pretrained_name
    from bench.registry.methods import check_method, load_method, method_names, origin_of
    from bench.registry.plugins import load_plugin

    if is_pretrained_name(name):
        raise SslbenchError(f"{name}: is an encoder, not a method; only methods are checked")
    if name in method_names():
        return load_method(name)
    if not name.endswith(".py") and not _is_module(name):
        check_method(name)
    found = [defined for defined in load_plugin(name) if defined in method_names() and origin_of(defined, None) is None]
    if not found:
        raise SslbenchError(f"plugin {name}: defines no method; only methods are checked")
    return load_method(found[0])


def _is_module(name: str) -> bool:
    import importlib.util

    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
    except Exception:  # the package that contains the module cannot be imported: loading it tells why in one line
        return True
