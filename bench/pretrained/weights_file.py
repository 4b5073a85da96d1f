"""A file of weights to one flat table of tensors; no code in a file is ever run."""

import argparse
import hashlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.errors import SslbenchError


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors or torch file by their full names, ``state_dict.conv1.weight``.

    Raises:
        SslbenchError: The file is neither, is damaged, holds no tensor, or holds code.
    """
    if _is_safetensors(path):
        return safetensors.torch.load_file(path)
    try:
        # Its fields are set and nothing is called: the options of a training, which DINO, MAE and MoCo v3 store beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SslbenchError(_refusal(path)) from error
    except Exception as error:  # torch tells a damaged file in errors of many kinds
        raise SslbenchError(f"{path}: is neither a safetensors nor a torch file of weights, or is damaged") from error
    tensors = dict(_flat(found))
    if not tensors:
        raise SslbenchError(f"{path}: holds no tensors")
    return tensors


def metadata(path: Path) -> dict[str, str]:
    """Return the texts that stand beside the tensors of a safetensors file; empty for any other."""
    if not _is_safetensors(path):
        return {}
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def digest(path: Path) -> str:
    """Return the hex hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_safetensors(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError) as error:
        if path.suffix == ".safetensors":
            raise SslbenchError(f"{path}: cannot be read as safetensors ({error})") from error
        return False


def _flat(found: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(found, Tensor):
        yield prefix, found.detach()
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))


def _refusal(path: Path) -> str:
    try:
        names = [name for name in torch.serialization.get_unsafe_globals_in_checkpoint(path) if "argparse" not in name]
    except Exception:  # the old format of torch's files cannot be looked into
        names = []
    code = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
    return (
        f"{path}: holds code{code} or no weights at all, and is refused: "
        "keep its tensors alone, with torch.save(model.state_dict(), FILE) or safetensors"
    )
