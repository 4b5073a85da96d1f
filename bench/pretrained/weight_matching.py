"""Weights of a file to a backbone: which names mean which tensors, and what did not fit.

Whatever wraps a network only puts something before its names (``module.encoder_q.``, ``backbone.``, ``teacher.``), so every
beginning that occurs is tried and the one with most matching weights is taken.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from bench.backbones.resnet import ResNet
from bench.errors import SslbenchError

SMALLEST_SHARE = 0.9
"""Least share of a backbone's weights that a file must hold."""
LISTED = 6
_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Place in our ``layers`` -> name in torchvision's and timm's networks."""
_RATHER_NOT = ("student", "encoder_k", "momentum", "target", "ema", "key")
"""Words of a beginning that loses a tie: the online network is what its method evaluates, but DINO evaluates its teacher."""


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file fit a backbone.

    Attributes:
        prefix: What stands before the names that were taken; with its dot, or empty.
        taken: The backbone's name -> the file's name.
        misshapen: The backbone's name -> the file's name, of another shape.
        missing: The backbone's names that the file does not have.
        left: Names in the file that were not taken.
        share: Of the backbone's weights, by number, that fit.
    """

    prefix: str
    taken: Mapping[str, str]
    misshapen: Mapping[str, str]
    missing: tuple[str, ...]
    left: tuple[str, ...]
    share: float


def fit(backbone: nn.Module, tensors: Mapping[str, Tensor]) -> Fit:
    """Return how a file's tensors fit a backbone, under the spelling and the beginning that fit best."""
    state = {name: tensor for name, tensor in backbone.state_dict().items() if not _counts(name)}
    total = sum(tensor.numel() for tensor in state.values())
    fits = [_fit(state, total, tensors, spelling, prefix) for spelling, prefix in _candidates(backbone, state, tensors)]
    nothing = Fit("", {}, {}, tuple(state), tuple(tensors), 0.0)
    return max(fits, key=lambda one: (one.share, -_unwanted(one.prefix), -len(one.prefix)), default=nothing)


def load(backbone: nn.Module, tensors: Mapping[str, Tensor], found: Fit) -> None:
    """Copy what fits into the backbone."""
    counters = {name: found.prefix + _spelt(name, found) for name in backbone.state_dict() if _counts(name)}
    names = dict(found.taken) | {name: key for name, key in counters.items() if key in tensors}
    backbone.load_state_dict({name: tensors[key] for name, key in names.items()}, strict=False)


def check(backbone: nn.Module, tensors: Mapping[str, Tensor], found: Fit, what: str, where: str) -> None:
    """Raise SslbenchError where too little fits to call it this network, or where its first layer does not.

    Args:
        backbone: The network.
        tensors: Of the file.
        found: What ``fit`` said of them.
        what: The backbone, for the message.
        where: The file, for the message.
    """
    if not found.taken:
        raise SslbenchError(f"{where}: nothing in it fits {what}; it holds {_some(_groups(tuple(tensors), ''))}")
    first = next(name for name, tensor in backbone.state_dict().items() if tensor.ndim in (2, 4))
    if first in found.misshapen:
        shapes = _shapes(first, backbone, tensors, found)
        raise SslbenchError(
            f"{where}: its first layer does not fit {what} at this image size: {shapes}; a network of another image size "
            "is built by --set size=N (ResNets have a 3×3 stem up to 64 pixels, ImageNet's 7×7 above)"
        )
    if found.share < SMALLEST_SHARE:
        wrong = [_shapes(name, backbone, tensors, found) for name in found.misshapen] + [
            f"{name} not there" for name in _groups(found.missing, "layers." if first.startswith("layers.") else "")
        ]
        raise SslbenchError(
            f"{where}: only {100 * found.share:.0f} % of the weights of {what} fit, less than {100 * SMALLEST_SHARE:.0f} %: {_some(wrong)}"
        )


def lines(backbone: nn.Module, tensors: Mapping[str, Tensor], found: Fit, what: str, where: str) -> list[str]:
    """Return what the user should read: how much fits, and what does not."""
    place = f" (from '{found.prefix}')" if found.prefix else ""
    said = [
        f"{where}{place}: {100 * found.share:.4g} % of the weights of {what} fit, {len(found.taken)} of {len(_all(found))} tensors"
    ]
    if found.misshapen:
        said.append(
            "  another shape, not taken: "
            + _some([_shapes(name, backbone, tensors, found) for name in found.misshapen])
        )
    if found.missing:
        said.append("  not in the file: " + _some(list(found.missing)))
    if found.left:
        said.append("  in the file, not in the backbone: " + _some(_groups(found.left, found.prefix)))
    return said


def _candidates(
    backbone: nn.Module, state: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> Iterator[tuple[dict[str, str], str]]:
    """Yield spelling (file's name -> backbone's name) and beginning, for all that fit at least in one tensor."""
    for spelling in _spellings(backbone, state):
        prefixes = {
            ".".join(parts[:start]) + ("." if start else "")
            for parts in (name.split(".") for name in tensors)
            for start in range(len(parts))
            if ".".join(parts[start:]) in spelling
        }
        yield from ((spelling, prefix) for prefix in sorted(prefixes))


def _spellings(backbone: nn.Module, state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Return the ways to write the backbone's names: ours, without the first part (timm's, lightly's), and torchvision's."""
    ways = [{name: name for name in state}, {name.partition(".")[2]: name for name in state if "." in name}]
    if isinstance(backbone, ResNet):
        ways.append({_torchvision(name): name for name in state})
    return ways


def _torchvision(name: str) -> str:
    _, place, *rest = name.split(".")
    return ".".join([_RESNET[place], *rest])


def _fit(
    state: Mapping[str, Tensor], total: int, tensors: Mapping[str, Tensor], spelling: Mapping[str, str], prefix: str
) -> Fit:
    there = {name: prefix + key for key, name in spelling.items() if prefix + key in tensors}
    taken = {name: key for name, key in there.items() if tensors[key].shape == state[name].shape}
    wrong = {name: key for name, key in there.items() if name not in taken}
    missing = tuple(name for name in state if name not in there)
    used = set(there.values())
    left = tuple(key for key in tensors if key not in used and not _counts(key))
    return Fit(prefix, taken, wrong, missing, left, sum(state[name].numel() for name in taken) / max(1, total))


def _spelt(name: str, found: Fit) -> str:
    """Return a counter's name in the spelling of the file, from that of the weight beside it."""
    owner, _, last = name.rpartition(".")
    key = found.taken.get(f"{owner}.weight", "")
    return f"{key.removeprefix(found.prefix).rpartition('.')[0]}.{last}"


def _counts(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _unwanted(prefix: str) -> int:
    return sum(word in prefix for word in _RATHER_NOT)


def _all(found: Fit) -> list[str]:
    return [*found.taken, *found.misshapen, *found.missing]


def _shapes(name: str, backbone: nn.Module, tensors: Mapping[str, Tensor], found: Fit) -> str:
    theirs, ours = tensors[found.misshapen[name]], backbone.state_dict()[name]
    return f"{found.misshapen[name].removeprefix(found.prefix)} is {_shape(theirs)} in the file, {_shape(ours)} here"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def _groups(names: tuple[str, ...], prefix: str) -> list[str]:
    """Return names gathered by what they begin with: ``fc (2)``, ``module.encoder_k (122)``."""
    depth = prefix.count(".")
    begun = Counter(
        name.removeprefix(prefix).partition(".")[0]
        if name.startswith(prefix)
        else ".".join(name.split(".")[: max(1, depth)])
        for name in names
    )
    return [f"{name} ({count})" for name, count in begun.items()]


def _some(entries: list[str]) -> str:
    return ", ".join(entries[:LISTED]) + (f" and {len(entries) - LISTED} more" if len(entries) > LISTED else "")
