"""Match the tensors of a file to the parameters of a backbone, by name and shape: every tensor, or an error that lists the others.

Modules that wrap a network only add a prefix to its names (``module.encoder_q.``, ``backbone.``, ``teacher.``), so every
prefix in the file is tried.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import SslbenchError
from bench.pretrained.weight_names import is_counter, is_statistic, left_over, preference, prefixes, spellings
from bench.printable import printable

SAME_NETWORK = 0.9
"""Share of a backbone's weights from which a part of a file is taken for this backbone; all of them must match before it is loaded."""
LISTED = 6
"""Entries listed in a message."""
LONGEST_NAME = 80
"""Longest name of a tensor in a message, in characters."""
_FLOATING = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class Match:
    """How the tensors of a file match a backbone.

    Attributes:
        prefix: Prefix of the matching names in the file; with its dot, or empty.
        matched: The backbone's name -> the file's name.
        misshapen: The backbone's name -> the file's name, for tensors of another shape or of no floating-point type.
        missing: What the file does not have, in its own spelling; without running statistics if it has none at all.
        left_over: The file's names that belong to its backbone, but not to ours.
        unused: The file's other names that were not matched: heads and other networks.
        share: Share of the backbone's weights, counted as numbers, that match.
        without_statistics: Whether the file has no running statistics although the backbone needs some.
        resampled: Which positions were resampled, for a note; empty if none were.
    """

    prefix: str
    matched: Mapping[str, str]
    misshapen: Mapping[str, str]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    unused: tuple[str, ...]
    share: float
    without_statistics: bool = False
    resampled: str = ""

    @property
    def complete(self) -> bool:
        """Whether every tensor fits, on both sides."""
        return bool(self.matched) and not (self.misshapen or self.missing or self.left_over)


def match_weights(backbone: nn.Module, tensors: Mapping[str, Tensor], heads: tuple[str, ...] = ()) -> Match:
    """Return the best match of a file's tensors with a backbone, over all spellings and prefixes of the names.

    If several networks in the file fit, the one that the authors of its method evaluate is taken (``weight_names.preference``).

    Args:
        backbone: The network.
        tensors: The file's tensors.
        heads: Names of the network's own classifiers, which are left aside.

    Raises:
        SslbenchError: Two networks of the file fit equally well, and their weights differ.
    """
    state = {name: tensor for name, tensor in backbone.state_dict().items() if not is_counter(name)}
    matches = [
        _match(state, tensors, spelling, prefix, heads)
        for spelling in spellings(backbone, state)
        for prefix in prefixes(spelling, tensors)
    ]
    if not matches:
        return Match("", {}, {}, tuple(state), (), tuple(tensors), 0.0)
    best = max(matches, key=lambda m: (*_rank(m), m.share, -len(m.prefix)))
    for other in matches:
        if best.complete and _rank(other) == _rank(best) and not _same_numbers(other, best, tensors):
            first, second = sorted((_named(best.prefix), _named(other.prefix)))
            raise SslbenchError(
                f"two networks with other weights fit equally well, under '{first}' and '{second}'; save one of them"
            )
    return best


def load(backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match) -> None:
    """Copy the matching tensors into the backbone."""
    counters = {
        name: match.prefix + _counter_in_file(name, match) for name in backbone.state_dict() if is_counter(name)
    }
    sizes = {name: tensor.shape for name, tensor in backbone.state_dict().items()}
    names = dict(match.matched) | {
        name: key for name, key in counters.items() if key in tensors and tensors[key].shape == sizes[name]
    }
    backbone.load_state_dict({name: tensors[key] for name, key in names.items()}, strict=False)


def check(
    backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match, what: str, where: str, hint: str = ""
) -> None:
    """Raise SslbenchError unless every tensor of the backbone is in the file, and the file's network has no others.

    Args:
        backbone: The network.
        tensors: The file's tensors.
        match: Result of ``match_weights``.
        what: The backbone's name, for the message.
        where: The file, for the message.
        hint: What to do if the first layer has another shape.
    """
    if not match.matched:
        raise SslbenchError(f"{where}: no tensor in it fits {what}; it contains {_some(_groups(tuple(tensors), ''))}")
    prefix = f" (under '{_named(match.prefix)}')" if match.prefix else ""
    first = next(name for name, tensor in backbone.state_dict().items() if tensor.ndim in (2, 4))
    if list(match.misshapen) == [first] and not match.missing:
        shapes = _shapes(first, backbone, tensors, match)
        raise SslbenchError(f"{where}{prefix}: its first layer does not fit {what} at this image size: {shapes}{hint}")
    if match.misshapen or match.missing:
        wrong = [_shapes(name, backbone, tensors, match) for name in match.misshapen]
        missing = [f"{name} is missing" for name in match.missing]
        count = len(wrong) + len(missing)
        raise SslbenchError(
            f"{where}{prefix}: {count} of the {_tensors(_total(match))} of {what} "
            f"{'does' if count == 1 else 'do'} not fit: {_some(wrong + missing)}; it is another network"
        )
    if match.left_over:
        names = [_named(name.removeprefix(match.prefix)) for name in match.left_over]
        raise SslbenchError(
            f"{where}{prefix}: its backbone has {_tensors(len(names))} that {what} does not have: {_some(names)}; it is another network"
        )
    for name, key in match.matched.items():
        wrong_numbers = int((~torch.isfinite(tensors[key])).sum())
        if wrong_numbers:
            raise SslbenchError(
                f"{where}{prefix}: {_named(key.removeprefix(match.prefix))} has {wrong_numbers} of {tensors[key].numel()} numbers "
                "that are NaN or infinite; the network cannot be measured"
            )
        if name.endswith("running_var") and bool((tensors[key] < 0).any()):
            raise SslbenchError(
                f"{where}{prefix}: {_named(key.removeprefix(match.prefix))} has negative variances; the file is damaged"
            )


def describe(match: Match, what: str, where: str) -> tuple[str, ...]:
    """Return lines for the user: which part of the file is used, and what is left aside."""
    prefix = f", '{_named(match.prefix)}'" if match.prefix else ""
    lines = [f"{where}{prefix}: {len(match.matched)} of {_tensors(_total(match))} of {what} loaded"]
    if match.without_statistics:
        lines[0] += ", and no running statistics"
    if match.unused:
        lines.append("  left aside: " + _some(_groups(match.unused, match.prefix)))
    return tuple(lines)


def _match(
    state: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    spelling: Mapping[str, str],
    prefix: str,
    heads: tuple[str, ...],
) -> Match:
    present = {name: prefix + key for key, name in spelling.items() if prefix + key in tensors}
    present = {name: present[name] for name in state if name in present}
    matched = {name: key for name, key in present.items() if _fits(tensors[key], state[name])}
    misshapen = {name: key for name, key in present.items() if name not in matched}
    statistics = {name for name in state if is_statistic(name)}
    without_statistics = bool(statistics) and not statistics & present.keys()
    spelled = {name: key for key, name in spelling.items()}
    missing = tuple(
        spelled[name] for name in state if name not in present and not (without_statistics and name in statistics)
    )
    used = set(present.values())
    others = {key: tensor for key, tensor in tensors.items() if key not in used and not is_counter(key)}
    extra = left_over(others, present, prefix, heads)
    total = sum(state[name].numel() for name in state if not (without_statistics and name in statistics))
    share = sum(state[name].numel() for name in matched) / max(1, total)
    unused = tuple(key for key in others if key not in set(extra))
    return Match(prefix, matched, misshapen, missing, extra, unused, share, without_statistics)


def _rank(match: Match) -> tuple[bool, int, bool]:
    """Networks that look like the backbone first, then those that authors evaluate, then complete ones."""
    looks_like = match.share >= SAME_NETWORK and not match.left_over
    return looks_like, preference(match.prefix) if looks_like else 0, match.complete


def _same_numbers(one: Match, other: Match, tensors: Mapping[str, Tensor]) -> bool:
    """Return whether two complete matches take the same numbers."""
    return one.matched.keys() == other.matched.keys() and all(
        key == other.matched[name] or torch.equal(tensors[key], tensors[other.matched[name]])
        for name, key in one.matched.items()
    )


def _fits(theirs: Tensor, ours: Tensor) -> bool:
    return theirs.shape == ours.shape and (theirs.dtype in _FLOATING or not ours.is_floating_point())


def _counter_in_file(name: str, match: Match) -> str:
    """Return the file's name of a batch-norm counter, from the file's name of the same layer's weight."""
    owner, _, last = name.rpartition(".")
    key = match.matched.get(f"{owner}.weight", "")
    return f"{key.removeprefix(match.prefix).rpartition('.')[0]}.{last}"


def _total(match: Match) -> int:
    return len(match.matched) + len(match.misshapen) + len(match.missing)


def _shapes(name: str, backbone: nn.Module, tensors: Mapping[str, Tensor], match: Match) -> str:
    theirs, ours = tensors[match.misshapen[name]], backbone.state_dict()[name]
    key = _named(match.misshapen[name].removeprefix(match.prefix))
    if theirs.shape == ours.shape:
        return f"{key} is {str(theirs.dtype).removeprefix('torch.')} in the file"
    return f"{key} is {_shape(theirs)} in the file, {_shape(ours)} here"


def _shape(tensor: Tensor) -> str:
    return printable("×".join(map(str, tensor.shape)), LONGEST_NAME) or "one number"


def _named(name: str) -> str:
    return printable(name, LONGEST_NAME)


def _tensors(count: int) -> str:
    return f"{count} tensor{'' if count == 1 else 's'}"


def _groups(names: tuple[str, ...], prefix: str) -> list[str]:
    """Return the first parts of names with their counts: ``fc (2)``, ``module.encoder_k (122)``."""
    depth = max(1, prefix.count("."))
    first = [
        name.removeprefix(prefix).partition(".")[0] if name.startswith(prefix) else ".".join(name.split(".")[:depth])
        for name in names
    ]
    return [f"{_named(name)} ({count})" for name, count in Counter(first).items()]


def _some(entries: list[str]) -> str:
    return ", ".join(entries[:LISTED]) + (f" and {len(entries) - LISTED} more" if len(entries) > LISTED else "")
