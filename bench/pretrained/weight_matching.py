"""Match the tensors of a file to the parameters of a backbone, by name and shape.

Modules that wrap a network only add a prefix to its names (``module.encoder_q.``, ``backbone.``, ``teacher.``), so every
prefix in the file is tried, and the one with the most matching weights is used.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.backbones.resnet import ResNet
from bench.errors import SslbenchError

SMALLEST_SHARE = 0.9
"""Smallest share of a backbone's weights that must match."""
LISTED = 6
"""Entries listed in a message."""
_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Index in ``ResNet.layers`` -> name in torchvision's and timm's ResNets."""
_LESS_WANTED = ("student", "encoder_k", "momentum", "target", "ema", "key")
"""A prefix with one of these words loses a tie: methods evaluate the online network, except that DINO evaluates its teacher."""


@dataclass(frozen=True)
class Match:
    """How the tensors of a file match a backbone.

    Attributes:
        prefix: Prefix of the matching names in the file; with its dot, or empty.
        matched: The backbone's name -> the file's name.
        misshapen: The backbone's name -> the file's name, for tensors of another shape.
        missing: The backbone's names that the file does not have.
        unused: Names in the file that were not matched.
        share: Share of the backbone's weights, counted as numbers, that match.
    """

    prefix: str
    matched: Mapping[str, str]
    misshapen: Mapping[str, str]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    share: float


def match_weights(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> Match:
    """Return the best match of a file's tensors with a backbone, over all spellings and prefixes of the names."""
    state = {name: tensor for name, tensor in backbone.state_dict().items() if not _is_counter(name)}
    total = sum(tensor.numel() for tensor in state.values())
    matches = [
        _match(state, total, tensors, spelling, prefix) for spelling, prefix in _candidates(backbone, state, tensors)
    ]
    nothing = Match("", {}, {}, tuple(state), tuple(tensors), 0.0)
    return max(matches, key=lambda m: (m.share, -_unwanted_words(m.prefix), -len(m.prefix)), default=nothing)


def load(backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match) -> None:
    """Copy the matching tensors into the backbone."""
    counters = {
        name: match.prefix + _counter_in_file(name, match) for name in backbone.state_dict() if _is_counter(name)
    }
    names = dict(match.matched) | {name: key for name, key in counters.items() if key in tensors}
    backbone.load_state_dict({name: tensors[key] for name, key in names.items()}, strict=False)


def check(backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match, what: str, where: str) -> None:
    """Raise SslbenchError if too few weights match, or if the first layer does not.

    Args:
        backbone: The network.
        tensors: The file's tensors.
        match: Result of ``match_weights``.
        what: The backbone's name, for the message.
        where: The file, for the message.
    """
    if not match.matched:
        raise SslbenchError(f"{where}: no tensor in it fits {what}; it contains {_some(_groups(tuple(tensors), ''))}")
    first = next(name for name, tensor in backbone.state_dict().items() if tensor.ndim in (2, 4))
    if first in match.misshapen:
        shapes = _shapes(first, backbone, tensors, match)
        raise SslbenchError(
            f"{where}: its first layer does not fit {what} at this image size: {shapes}; a network of another image size "
            "is built with --set size=N (ResNets have a 3×3 stem up to 64 pixels, ImageNet's 7×7 above)"
        )
    if match.share < SMALLEST_SHARE:
        wrong = [_shapes(name, backbone, tensors, match) for name in match.misshapen] + [
            f"{name} missing" for name in _groups(match.missing, "layers." if first.startswith("layers.") else "")
        ]
        raise SslbenchError(
            f"{where}: only {100 * match.share:.0f} % of the weights of {what} fit, less than {100 * SMALLEST_SHARE:.0f} %: {_some(wrong)}"
        )


def describe(backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match, what: str, where: str) -> list[str]:
    """Return lines for the user: how many weights fit, and which tensors do not."""
    prefix = f" (from '{match.prefix}')" if match.prefix else ""
    lines = [
        f"{where}{prefix}: {100 * match.share:.4g} % of the weights of {what} fit, {len(match.matched)} of {len(_all(match))} tensors"
    ]
    if match.misshapen:
        lines.append(
            "  of another shape, not loaded: "
            + _some([_shapes(name, backbone, tensors, match) for name in match.misshapen])
        )
    if match.missing:
        lines.append("  not in the file: " + _some(list(match.missing)))
    if match.unused:
        lines.append("  in the file, not in the backbone: " + _some(_groups(match.unused, match.prefix)))
    return lines


def _candidates(
    backbone: nn.Module, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[dict[str, str], str]]:
    """Yield each spelling (file's name -> backbone's name) and prefix that matches at least one name in the file."""
    for spelling in _spellings(backbone, state):
        prefixes = {
            ".".join(parts[:start]) + ("." if start else "")
            for parts in (name.split(".") for name in tensors)
            for start in range(len(parts))
            if ".".join(parts[start:]) in spelling
        }
        yield from ((spelling, prefix) for prefix in sorted(prefixes))


def _spellings(backbone: nn.Module, state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Return the spellings of the backbone's names: its own, without the first part (timm, lightly), and torchvision's."""
    spellings = [{name: name for name in state}, {name.partition(".")[2]: name for name in state if "." in name}]
    if isinstance(backbone, ResNet):
        spellings.append({_torchvision(name): name for name in state})
    return spellings


def _torchvision(name: str) -> str:
    _, index, *rest = name.split(".")
    return ".".join([_RESNET[index], *rest])


def _match(
    state: Mapping[str, Tensor], total: int, tensors: Mapping[str, Tensor], spelling: Mapping[str, str], prefix: str
) -> Match:
    present = {name: prefix + key for key, name in spelling.items() if prefix + key in tensors}
    matched = {name: key for name, key in present.items() if tensors[key].shape == state[name].shape}
    misshapen = {name: key for name, key in present.items() if name not in matched}
    missing = tuple(name for name in state if name not in present)
    used = set(present.values())
    unused = tuple(key for key in tensors if key not in used and not _is_counter(key))
    return Match(
        prefix, matched, misshapen, missing, unused, sum(state[name].numel() for name in matched) / max(1, total)
    )


def _counter_in_file(name: str, match: Match) -> str:
    """Return the file's name of a batch-norm counter, from the file's name of the same layer's weight."""
    owner, _, last = name.rpartition(".")
    key = match.matched.get(f"{owner}.weight", "")
    return f"{key.removeprefix(match.prefix).rpartition('.')[0]}.{last}"


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _unwanted_words(prefix: str) -> int:
    return sum(word in prefix for word in _LESS_WANTED)


def _all(match: Match) -> list[str]:
    return [*match.matched, *match.misshapen, *match.missing]


def _shapes(name: str, backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match) -> str:
    theirs, ours = tensors[match.misshapen[name]], backbone.state_dict()[name]
    return f"{match.misshapen[name].removeprefix(match.prefix)} is {_shape(theirs)} in the file, {_shape(ours)} here"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def _groups(names: tuple[str, ...], prefix: str) -> list[str]:
    """Return the first parts of names with their counts: ``fc (2)``, ``module.encoder_k (122)``."""
    depth = prefix.count(".")
    counts = Counter(
        name.removeprefix(prefix).partition(".")[0]
        if name.startswith(prefix)
        else ".".join(name.split(".")[: max(1, depth)])
        for name in names
    )
    return [f"{name} ({count})" for name, count in counts.items()]


def _some(entries: list[str]) -> str:
    return ", ".join(entries[:LISTED]) + (f" and {len(entries) - LISTED} more" if len(entries) > LISTED else "")
