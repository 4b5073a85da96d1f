"""Which backbone each method of a request is measured on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.backbones import catalogue as backbones
from bench.data import catalogue as datasets
from bench.errors import SslbenchError
from bench.planning.request import Request
from bench.registry.methods import load_method

if TYPE_CHECKING:
    from methods.base import Method


def choose_backbones(request: Request, named: Sequence[str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return each method with its backbone, and why a method was left out of ``--all``.

    Where no backbone is named, a method that needs a transformer gets that of the data set, and a floor or ceiling is measured on
    every backbone that another method is.
    """
    places, skipped = [], {}
    if request.backbone is not None:
        for name in named:
            reason = unfit(load_method(name), request.backbone)
            if reason is None:
                places.append((name, request.backbone))
            elif request.methods:
                raise SslbenchError(f"method {name}: {reason}")
            else:
                skipped[name] = reason
        if named and not places:
            raise SslbenchError(
                f"no method can use backbone {request.backbone}: {'; '.join(f'{n} {why}' for n, why in skipped.items())}"
            )
        return places, skipped
    default = datasets.default_backbone(request.source.name)
    transformer = datasets.default_backbone(request.source.name, transformer=True)
    needs_transformer = [name for name in named if load_method(name).needs.backbone == "transformer"]
    apart = [name for name in named if load_method(name).family == "floor and ceiling"]
    first = [name for name in named if name not in needs_transformer]
    if needs_transformer and first == apart:
        first = []
    second = [name for name in named if needs_transformer and name in (*needs_transformer, *apart)]
    return [(name, default) for name in first] + [(name, transformer) for name in second], {}


def unfit(method: type["Method"], backbone: str) -> str | None:
    """Return why a method cannot use a backbone, or None."""
    kind = backbones.find(backbone).kind
    needed = method.needs.backbone
    if needed in ("any", "none") or needed == kind:
        return None
    return f"needs a {needed} backbone, {backbone} is {'an' if kind[0] in 'aeiou' else 'a'} {kind} one"
