"""Read a file of weights as one flat dict of tensors; code in a file is never run."""

import argparse
import hashlib
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.errors import SslbenchError
from bench.pretrained.numpy_pickles import STAND_INS, NumpyArray
from bench.printable import printable

MOST_ENTRIES = 1_000_000
"""Most entries, counted over all nested dicts; a file with more is refused."""
DEEPEST = 64
"""Deepest nesting of dicts."""
_BEGINNINGS = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the weights themselves; run `git lfs pull`"),
    (b"<!doctype html", "is a web page, not weights; download the file itself"),
    (b"<html", "is a web page, not weights; download the file itself"),
    (b"\x93NUMPY", "is a numpy file; save its arrays as tensors, with torch.save or safetensors"),
)
"""How files begin that are often named like weights, in lower case, and what they are."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors or torch file by their full names, such as ``state_dict.conv1.weight``.

    Numbers stay on the disk until they are used, where the format allows it. Arrays of numpy become tensors.

    Raises:
        SslbenchError: The file is neither, is damaged, contains code or no tensors, or holds more than the limits allow.
    """
    _check_beginning(path)
    if _is_safetensors(path):
        try:
            return safetensors.torch.load_file(path)
        except Exception as error:  # a data type that torch lacks, or a file that changes
            raise SslbenchError(f"{path}: cannot be read as safetensors ({_first_line(error)})") from error
    content = _torch_content(path)
    try:
        tensors = _named(_flat(content), path)
    except (ValueError, RuntimeError, TypeError) as error:
        raise SslbenchError(f"{path}: is damaged ({_first_line(error)})") from error
    if not tensors:
        raise SslbenchError(f"{path}: contains no tensors")
    return tensors


def metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file; empty for any other file.

    Raises:
        SslbenchError: The file cannot be read.
    """
    _check_beginning(path)
    if not _is_safetensors(path):
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, RuntimeError) as error:
        raise SslbenchError(f"{path}: cannot be read as safetensors ({_first_line(error)})") from error


def digest(path: Path) -> str:
    """Return the SHA-256 hash of a file's content, in hex; raises SslbenchError if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SslbenchError(f"{path}: cannot be read ({error.strerror})") from error


def _torch_content(path: Path) -> Any:
    _check_zip(path)
    # DINO, MAE and MoCo v3 store their training options as an argparse.Namespace; loading one only sets its fields.
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [argparse.Namespace, *STAND_INS]
    try:
        with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapped into memory, so that a tensor cannot be larger than its file. torch's old format cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise SslbenchError(_refusal(path)) from error
    except Exception as error:  # torch reports a damaged file by errors of many types
        raise SslbenchError(f"{path}: is not a safetensors or torch file of weights, or is damaged") from error


def _check_beginning(path: Path) -> None:
    """Raise SslbenchError if the file is empty, cannot be read, or is of a known other kind."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip()
    except OSError as error:
        raise SslbenchError(f"{path}: cannot be read ({error.strerror})") from error
    if not start:
        raise SslbenchError(f"{path}: is empty")
    for beginning, what in _BEGINNINGS:
        if start.lower().startswith(beginning.lower()):
            raise SslbenchError(f"{path}: {what}")


def _check_zip(path: Path) -> None:
    """Raise SslbenchError if a zip has compressed members, which torch never writes, or declares more than it holds."""
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise SslbenchError(f"{path}: is a damaged zip ({_first_line(error)})") from error
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise SslbenchError(f"{path}: is a compressed zip, not a torch file; if the weights are inside, unpack them")
    if sum(member.file_size for member in members) > path.stat().st_size:
        raise SslbenchError(f"{path}: is damaged: it declares more data than it holds")


def _is_safetensors(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt"):
            return True
    # torch raises RuntimeError for a file that is too large to be mapped.
    except (SafetensorError, OSError, RuntimeError) as error:
        if path.suffix == ".safetensors":
            raise SslbenchError(f"{path}: cannot be read as safetensors ({_first_line(error)})") from error
        return False


def _flat(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested dicts by their full names.

    Raises:
        ValueError: More entries, or deeper ones, than the limits allow.
    """
    entries = 0
    waiting: list[tuple[str, Any, int]] = [("", content, 0)]
    while waiting:
        prefix, found, depth = waiting.pop()
        if isinstance(found, NumpyArray):
            found = found.tensor()
        if isinstance(found, Tensor) and _is_plain(found):
            yield prefix, found.detach()
        elif isinstance(found, Mapping):
            entries += len(found)
            if entries > MOST_ENTRIES or depth > DEEPEST:
                raise ValueError(f"more than {MOST_ENTRIES:,} entries, or dicts nested more than {DEEPEST} deep")
            inside = [(f"{prefix}.{key}" if prefix else str(key), value, depth + 1) for key, value in found.items()]
            waiting += reversed(inside)


def _named(pairs: Iterator[tuple[str, Tensor]], path: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, tensor in pairs:
        if name in tensors:
            raise SslbenchError(f"{path}: has two tensors named {printable(name, 80)}")
        tensors[name] = tensor
    return tensors


def _is_plain(tensor: Tensor) -> bool:
    """Return whether a tensor holds its own numbers: not sparse, quantised, nested or without data."""
    return tensor.layout == torch.strided and not (tensor.is_quantized or tensor.is_nested or tensor.is_meta)


def _refusal(path: Path) -> str:
    try:
        known = {name for _, name in STAND_INS}
        names = [
            printable(name, 80)
            for name in torch.serialization.get_unsafe_globals_in_checkpoint(path)
            if "argparse" not in name and name not in known
        ]
    except Exception:  # files in torch's old format cannot be inspected
        names = []
    code = f" ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""
    return (
        f"{path}: contains code{code} or no weights, and is not loaded; "
        "save only its tensors, with torch.save(model.state_dict(), FILE) or safetensors"
    )


def _first_line(error: BaseException) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 200)
