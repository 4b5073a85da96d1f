"""Names of tensors: how other codes spell a backbone's names, and which of a file's other names belong to a backbone."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from torch import Tensor, nn

from bench.backbones.resnet import ResNet

_RESNET = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""Index in ``ResNet.layers`` -> name in torchvision's and timm's ResNets."""
_STEMS = (("conv1.", ("conv1.0.", "conv1.conv.")), ("bn1.", ("conv1.1.", "conv1.bn.")))
"""Beginning of a name -> other spellings, where convolution and batch norm of the stem are one module."""
_EVALUATED = {"teacher", "ema", "swa"}
_NOT_EVALUATED = {"student", "momentum", "target", "key", "k"}
_NO_NETWORK = {"optimizer", "optimizers", "optim", "exp_avg", "exp_avg_sq", "momentum_buffer", "grad"}
_HEADS = {"fc", "head", "heads", "classifier", "linear"}
_OTHER_NETWORKS = _HEADS | {
    *("aux", "center", "centre", "decoder", "key", "logit", "loss", "mask", "momentum", "predictor", "projection", "projector"),
    *("prototypes", "queue", "student", "target", "teacher", "text"),
}  # fmt: skip
"""Words of modules that are not part of a backbone: heads, projectors, predictors, decoders and whole other networks."""


def spellings(backbone: nn.Module, state: Mapping[str, Tensor]) -> list[dict[str, str]]:
    """Return the spellings of a backbone's names: a file's name -> the backbone's name.

    They are its own names, those without a first part that all of them have (timm, lightly), and torchvision's for the ResNets of the catalogue;
    each also with ``shortcut`` for ``downsample``, and with a stem that is one module.
    """
    found = [{name: name for name in state}]
    if len({name.partition(".")[0] for name in state}) == 1:
        found.append({name.partition(".")[2]: name for name in state})
    if isinstance(backbone, ResNet):
        found.append({_torchvision(name): name for name in state})
    # The names themselves come last: they are preferred if a file has both.
    return [
        {other: name for key, name in spelling.items() for other in _alternatives(key) if other not in spelling}
        | spelling
        for spelling in found
    ]


def prefixes(spelling: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Return the prefixes, with their dot, after which a file has most names of this spelling: all with at least half as many as the best."""
    longest = max((key.count(".") for key in spelling), default=0) + 1
    counts: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        for start in range(max(0, len(parts) - longest), len(parts)):
            if ".".join(parts[start:]) in spelling:
                counts[".".join(parts[:start]) + ("." if start else "")] += 1
    most = max(counts.values(), default=0)
    return sorted(prefix for prefix, count in counts.items() if 2 * count >= most)


def preference(prefix: str) -> int:
    """Return how much the network under a prefix is wanted: the one that the authors of its method evaluate.

    3: the online network of BYOL's codes, whose other network is called the target. 2: teachers, the ``target_encoder`` of I-JEPA and MSN, moving
    averages (``ema``). 1: any other. 0: students and networks that only give targets (``encoder_k``, ``momentum_encoder``). -1: optimisers.
    """
    parts = set(prefix.split("."))
    words = {word for part in parts for word in part.split("_")}
    if (parts | words) & _NO_NETWORK:
        return -1
    if "online" in words:
        return 3
    if words & _EVALUATED or "target_encoder" in parts:
        return 2
    return 0 if words & _NOT_EVALUATED else 1


def left_over(
    names: Mapping[str, Tensor], matched: Mapping[str, str], prefix: str, heads: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return those of a file's other names that belong to the backbone; a network that has them is another one.

    They are names inside the backbone's parts (a third block in ``layer1``), and parts whose names share a word with the backbone's parts
    (``reg_token`` next to ``cls_token``). Heads, projectors, decoders and names under other prefixes do not belong to it.

    Args:
        names: The names that did not match, with their tensors.
        matched: The backbone's name -> the file's name.
        prefix: Prefix of the matching names.
        heads: Names of the network's own classifiers, which are left aside.
    """
    parts = {_part(key, prefix) for key in matched.values()}
    words = {word for part in parts for word in _words(part)}
    last = max((int(part) for part in parts if part.isdigit()), default=-1)
    found = []
    for name, tensor in names.items():
        if not name.startswith(prefix) or name.removeprefix(prefix).startswith(heads):
            continue
        part = _part(name, prefix)
        if part.isdigit():
            # In a sequence of layers, linear layers after the last matched one are a head.
            belongs = part in parts or (last >= 0 and (int(part) < last or tensor.ndim > 2))
        elif part in parts:
            belongs = part not in _HEADS
        else:
            belongs = bool(_words(part) & words) and not _words(part) & _OTHER_NETWORKS
        if belongs:
            found.append(name)
    return tuple(found)


def is_counter(name: str) -> bool:
    """Return whether a name is that of a batch norm's counter, which features do not depend on."""
    return name.endswith("num_batches_tracked")


def is_statistic(name: str) -> bool:
    """Return whether a name is that of a batch norm's running statistics."""
    return name.endswith((".running_mean", ".running_var"))


def _torchvision(name: str) -> str:
    _, index, *rest = name.split(".")
    return ".".join([_RESNET[index], *rest])


def _alternatives(key: str) -> Iterator[str]:
    yield key.replace("downsample", "shortcut")
    for start, others in _STEMS:
        if key.startswith(start):
            yield from (other + key.removeprefix(start) for other in others)


def _part(name: str, prefix: str) -> str:
    return name.removeprefix(prefix).partition(".")[0]


def _words(part: str) -> set[str]:
    return {word for word in re.sub(r"\d", "", part).split("_") if word}
