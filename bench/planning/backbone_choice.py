"""Choose the backbones of each method of a request."""

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
    """Return (method, backbone) pairs, and for each method left out of ``--all`` the reason.

    If no backbone is requested, a method that needs a transformer gets the data set's default transformer, and other methods get its
    default backbone. Methods of the family ``floor and ceiling`` get every backbone that another method of the request gets.

    Args:
        request: The request.
        dataset: The data set's name.
        named: Names of the methods.

    Raises:
        SslbenchError: A method that was given by name cannot use the requested backbone, or no method can.
    """
    if request.backbone is not None:
        return _on_one_backbone(request, request.backbone, named)
    default = datasets.default_backbone(dataset)
    transformer = datasets.default_backbone(dataset, transformer=True)
    needs_transformer = [name for name in named if load_method(name).needs.backbone == "transformer"]
    floor_and_ceiling = [name for name in named if load_method(name).family == "floor and ceiling"]
    on_default = [name for name in named if name not in needs_transformer]
    if needs_transformer and on_default == floor_and_ceiling:
        on_default = []
    on_transformer = [name for name in named if needs_transformer and name in (*needs_transformer, *floor_and_ceiling)]
    return [(name, default) for name in on_default] + [(name, transformer) for name in on_transformer], {}


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
    return f"needs a {needed} backbone, but {backbone} is {'an' if kind[0] in 'aeiou' else 'a'} {kind} one"
