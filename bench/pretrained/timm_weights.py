"""Weights for a timm model: a file's tensors, adapted by timm's own filter and loaded completely or not at all."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import SslbenchError
from bench.pretrained import weight_matching, weights_file
from bench.pretrained.weight_matching import Match
from bench.printable import printable

Filter = Callable[..., Mapping[str, Any]]
_CONTAINERS = ("", "state_dict.", "model.", "model_state_dict.", "state_dict_ema.", "model_ema.")
"""Prefixes under which a file whose names only timm's filter knows may keep them."""


@dataclass(frozen=True)
class LoadedWeights:
    """What was loaded.

    Attributes:
        lines: Lines for the user: which tensors were used.
        notes: Notes on the row: what timm resampled.
        lacks_statistics: Whether the file has no running statistics.
    """

    lines: tuple[str, ...]
    notes: tuple[str, ...]
    lacks_statistics: bool


def load_weights(net: nn.Module, model: str, path: Path, arguments: Mapping[str, Any]) -> LoadedWeights:
    """Load a file's weights into a timm model without its classifier.

    The file's names are matched with the model's, under any prefix; timm's filter for the model then adapts names and shapes.

    Args:
        net: The model; its weights are replaced.
        model: Its name.
        path: The file.
        arguments: Arguments with which the model was created, such as ``img_size``.

    Raises:
        SslbenchError: The file cannot be read, or a tensor of the model is missing or has another shape.
    """
    where, tensors = printable(str(path)), weights_file.read_weights(path)
    heads = _classifiers(net)
    try:
        direct = weight_matching.match_weights(net, tensors, heads)
        raw, fitted, match = _best(net, model, tensors, direct, arguments, heads)
    except SslbenchError as error:
        raise SslbenchError(f"{where}: {error}") from error
    weight_matching.check(net, fitted, match, model, where)
    weight_matching.load(net, fitted, match)
    resampled = [
        f"{printable(name, weight_matching.LONGEST_NAME)} from {_shape(raw[name])} to {_shape(fitted[name])}"
        for name in match.matched
        if name in raw and raw[name].shape != fitted[name].shape
    ]
    notes = (f"adapted by timm to this image size: {', '.join(resampled[:3])}",) if resampled else ()
    used = Match(direct.prefix, match.matched, {}, (), (), direct.unused, 1.0, match.without_statistics)
    return LoadedWeights(weight_matching.describe(used, model, printable(path.name)), notes, match.without_statistics)


def _best(
    net: nn.Module,
    model: str,
    tensors: Mapping[str, Tensor],
    direct: Match,
    arguments: Mapping[str, Any],
    heads: tuple[str, ...],
) -> tuple[dict[str, Tensor], dict[str, Tensor], Match]:
    """Return the tensors before and after timm's filter, and their match: the first complete one, else the one with the largest share."""
    adapt = _filter_of(model, arguments)
    candidates = []
    for raw in _networks(tensors, direct):
        fitted = _filtered(adapt, raw, net)
        match = weight_matching.match_weights(net, fitted, heads)
        if match.complete:
            return raw, fitted, match
        candidates.append((raw, fitted, match))
    return max(candidates, key=lambda candidate: candidate[2].share)


def _networks(tensors: Mapping[str, Tensor], direct: Match) -> Iterator[dict[str, Tensor]]:
    """Yield what may be the model's state dict: the network whose names match, then the file's usual containers."""
    if direct.matched or direct.misshapen:
        names = {key: name for name, key in (*direct.matched.items(), *direct.misshapen.items())}
        yield {
            names.get(key, key.removeprefix(direct.prefix)): tensor
            for key, tensor in tensors.items()
            if key.startswith(direct.prefix)
        }
    for prefix in _CONTAINERS:
        found = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if found:
            yield found


def _filtered(adapt: Filter | None, raw: dict[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    if adapt is None:
        return dict(raw)
    try:
        with torch.no_grad():
            found = adapt(dict(raw), net)
    except (
        Exception
    ):  # a filter that meets another network's tensors fails in many ways; the tensors are then matched as they are
        return dict(raw)
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _filter_of(model: str, arguments: Mapping[str, Any]) -> Filter | None:
    """Return the function with which timm adapts the names and shapes of a model's weights; None if it has none."""
    import timm

    with _intercepted() as found:
        try:
            timm.create_model(model, pretrained=True, num_classes=0, **arguments)
        except Exception as error:  # a model without a configuration of weights
            raise SslbenchError(f"timm cannot load weights for {model}") from error
    return found.get("filter_fn")


@contextmanager
def _intercepted() -> Iterator[dict[str, Any]]:
    """Within it, timm loads no weights: the arguments of its loading are kept instead, because a model's filter is named nowhere else."""
    from timm.models import _builder

    found: dict[str, Any] = {}

    def keep(*_: Any, **given: Any) -> None:
        found.update(given)

    original, loader = _builder.load_pretrained, "load_pretrained"
    setattr(_builder, loader, keep)
    try:
        yield found
    finally:
        setattr(_builder, loader, original)


def _classifiers(net: nn.Module) -> tuple[str, ...]:
    named = vars(net)["pretrained_cfg"].get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape))
