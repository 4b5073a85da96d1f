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


def choose_backbones(
    request: Request, dataset: str, named: Sequence[str]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return (method, backbone) pairs, and why methods were left out of ``--all``.

    If no backbone is named, a method that needs a transformer gets the data set's transformer, and a floor or ceiling is measured
    on every backbone that another method of the request is measured on.

    Args:
        request: What was asked for.
        dataset: The data set's name.
        named: Methods to choose for.

    Raises:
        SslbenchError: A named method, or all methods, cannot use the named backbone.
    """
    if request.backbone is not None:
        return _on_one_backbone(request, request.backbone, named)
    default = datasets.default_backbone(dataset)
    transformer = datasets.default_backbone(dataset, transformer=True)
    needs_transformer = [name for name in named if load_method(name).needs.backbone == "transformer"]
    floor_and_ceiling = [name for name in named if load_method(name).family == "floor and ceiling"]
    first = [name for name in named if name not in needs_transformer]
    if needs_transformer and first == floor_and_ceiling:
        first = []
    second = [name for name in named if needs_transformer and name in (*needs_transformer, *floor_and_ceiling)]
    return [(name, default) for name in first] + [(name, transformer) for name in second], {}


def _on_one_backbone(
    request: Request, backbone: str, named: Sequence[str]
) -> tuple[list[tuple[str, str]], dict[str, str]]:
    pairs, left_out = [], {}
    for name in named:
        reason = _why_not(load_method(name), backbone)
        if reason is None:
            pairs.append((name, backbone))
        elif request.methods:
            raise SslbenchError(f"method {name}: {reason}")
        else:
            left_out[name] = reason
    if named and not pairs:
        reasons = "; ".join(f"{name} {reason}" for name, reason in left_out.items())
        raise SslbenchError(f"no method can use backbone {backbone}: {reasons}")
    return pairs, left_out


def _why_not(method: type["Method"], backbone: str) -> str | None:
    """Return why a method cannot use a backbone, or None."""
    kind = backbones.find(backbone).kind
    needed = method.needs.backbone
    if needed in ("any", "none") or needed == kind:
        return None
    return f"needs a {needed} backbone, {backbone} is {'an' if kind[0] in 'aeiou' else 'a'} {kind} one"
