"""Read a file of weights as one flat dict of tensors; code in a file is never run."""

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
    """Return all tensors of a safetensors or torch file by their full names, such as ``state_dict.conv1.weight``.

    Raises:
        SslbenchError: The file is neither, is damaged, or contains code or no tensors.
    """
    if _is_safetensors(path):
        return safetensors.torch.load_file(path)
    try:
        # DINO, MAE and MoCo v3 store their training options as an argparse.Namespace; loading one only sets its fields.
        with torch.serialization.safe_globals([argparse.Namespace]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SslbenchError(_refusal(path)) from error
    except Exception as error:  # torch reports a damaged file by errors of many types
        raise SslbenchError(f"{path}: is not a safetensors or torch file of weights, or is damaged") from error
    tensors = dict(_flat(found))
    if not tensors:
        raise SslbenchError(f"{path}: contains no tensors")
    return tensors


def metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty for any other file."""
    if not _is_safetensors(path):
        return {}
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def digest(path: Path) -> str:
    """Return the SHA-256 hash of a file's content, in hex."""
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


def _flat(content: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix, content.detach()
    elif isinstance(content, Mapping):
        for key, value in content.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else str(key))


def _refusal(path: Path) -> str:
    try:
        names = [name for name in torch.serialization.get_unsafe_globals_in_checkpoint(path) if "argparse" not in name]
    except Exception:  # files in torch's old format cannot be inspected
        names = []
    code = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
    return (
        f"{path}: contains code{code} or no weights, and is not loaded; "
        "save only its tensors, with torch.save(model.state_dict(), FILE) or safetensors"
    )
