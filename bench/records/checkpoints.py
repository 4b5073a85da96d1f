"""Checkpoints of pretraining and stored encoders: files of tensors that name the run they belong to."""

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

FORM = 2
"""Of a checkpoint; one of another form is not continued."""


def digest(identity: Identity) -> str:
    """Return a hash of all that decides the numbers of a pretraining."""
    text = json.dumps(asdict(identity), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def save_checkpoint(path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write the state of a training.

    Raises:
        StorageError: The folder cannot be written, or the disk is full.
    """
    write_whole(path, lambda temporary: torch.save({"form": FORM, "identity": digest(identity), **state}, temporary))


def load_checkpoint(path: Path, identity: Identity, *, mapped: bool = False) -> dict[str, Any] | None:
    """Return the state saved for this identity, or None where there is none or it belongs to another version.

    Args:
        path: Of the file.
        identity: Whose state it must be.
        mapped: Tensors stay on the disk until they are used.

    Raises:
        StorageError: The file is corrupt.
    """
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch tells a damaged file in errors of many kinds
        raise StorageError(f"checkpoint {path}: cannot be read ({_first(error)}); delete it to start anew") from error
    if not isinstance(state, dict):
        raise StorageError(f"checkpoint {path}: holds no training; delete it to start anew")
    return state if (state.get("form"), state.get("identity")) == (FORM, digest(identity)) else None


def is_checkpoint(path: Path, identity: Identity) -> bool:
    """Return whether a file holds the state of this identity's training, reading no more of it than that takes.

    Raises:
        StorageError: The file is corrupt.
    """
    return load_checkpoint(path, identity, mapped=True) is not None


def save_encoder(path: Path, identity: Identity, encoder: Encoder, story: dict[str, Any]) -> None:
    """Write an encoder as safetensors; in its metadata the run's identity, how it was trained and what it expects (plain JSON)."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    about = {
        "identity": digest(identity),
        "backbone": identity.backbone,
        "method": identity.method,
        "pooling": encoder.pooling,
        "input": json.dumps(asdict(encoder.input)),
        "story": json.dumps(story),
    }
    data = safetensors.torch.save(state, metadata=about)
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def stored_encoder(path: Path, identity: Identity) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the stored encoder's tensors and how it was trained, or None where there is none of this identity.

    Raises:
        StorageError: The file is corrupt.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("identity") != digest(identity):
                return None
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(about["story"])  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise StorageError(f"encoder {path}: cannot be read ({_first(error)}); delete it to train anew") from error


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
