"""Checkpoints of pretraining and stored encoders: files of tensors that name the run that they belong to."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from bench.atomic import write_whole
from bench.errors import StorageError
from bench.records.record import Identity
from methods.base import Encoder

FORM = 3
"""Version of both kinds of files; a file of another form is refused."""


def digest(identity: Identity) -> str:
    """Return a hash of everything that decides the numbers of a pretraining."""
    text = json.dumps(asdict(identity), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def save_checkpoint(path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write the state of a training.

    Raises:
        StorageError: The folder cannot be written, or the disk is full.
    """
    write_whole(path, lambda temporary: torch.save({"form": FORM, "identity": digest(identity), **state}, temporary))


def load_checkpoint(path: Path, identity: Identity, *, mapped: bool = False) -> dict[str, Any] | None:
    """Return the state that was saved for this identity, or None if there is none or it belongs to another identity.

    Args:
        path: The file.
        identity: The run that the state must belong to.
        mapped: Tensors stay on the disk until they are used.

    Raises:
        StorageError: The file is corrupt or of another form.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch reports a damaged file by errors of many types
        raise StorageError(
            f"checkpoint {path}: cannot be read ({_first_line(error)}); delete it to start again"
        ) from error
    if not isinstance(state, dict):
        raise StorageError(f"checkpoint {path}: holds no training; delete it to start again")
    if state.get("identity") != digest(identity):
        return None
    if state.get("form") != FORM:
        raise StorageError(f"checkpoint {path}: was written by another version of sslbench; delete it to start again")
    return state


def is_checkpoint(path: Path, identity: Identity) -> bool:
    """Return whether a file holds the state of this identity's training; its tensors are not read.

    Raises:
        StorageError: The file is corrupt or of another form.
    """
    return load_checkpoint(path, identity, mapped=True) is not None


def save_encoder(path: Path, identity: Identity, encoder: Encoder, training: dict[str, Any]) -> None:
    """Write an encoder as safetensors; its metadata say to which run it belongs, how it was trained and what it expects (JSON)."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    about = {
        "form": str(FORM),
        "identity": digest(identity),
        "backbone": identity.backbone,
        "method": identity.method,
        "pooling": encoder.pooling,
        "input": json.dumps(asdict(encoder.input)),
        "training": json.dumps(training),
    }
    data = safetensors.torch.save(state, metadata=about)
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def stored_encoder(path: Path, identity: Identity) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the stored encoder's tensors and how it was trained, or None if there is none of this identity.

    Raises:
        StorageError: The file is corrupt or of another form.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("identity") != digest(identity):
                return None
            if about.get("form") != str(FORM):
                raise StorageError(
                    f"encoder {path}: was written by another version of sslbench; delete it to train again"
                )
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(about["training"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StorageError(
            f"encoder {path}: cannot be read ({_first_line(error)}); delete it to train again"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
