"""Checkpoints of pretraining and stored encoders: written to a temporary file, flushed, renamed."""

import hashlib
import json
import os
import pickle
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from bench.errors import SslbenchError
from bench.records import Identity


def digest(identity: Identity) -> str:
    """Return a hash of all that decides the numbers of a pretraining."""
    text = json.dumps(asdict(identity), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def save_checkpoint(path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write the state of a training; a reader sees the old file or the new one, never a half.

    Raises:
        SslbenchError: The folder cannot be written, or the disk is full.
    """
    _replace(path, lambda temporary: torch.save({"identity": digest(identity), **state}, temporary))


def load_checkpoint(path: Path, identity: Identity) -> dict[str, Any] | None:
    """Return the state saved for this identity, or None where there is none or it belongs to another version.

    Raises:
        SslbenchError: The file is corrupt.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
        raise SslbenchError(f"checkpoint {path}: cannot be read ({_first(error)}); delete it to start anew") from error
    return state if state.get("identity") == digest(identity) else None


def save_encoder(path: Path, identity: Identity, encoder: nn.Module, story: dict[str, Any]) -> None:
    """Write an encoder as safetensors, with the run's identity and how it was trained (plain JSON) in its metadata."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    about = {
        "identity": digest(identity),
        "backbone": identity.backbone,
        "method": identity.method,
        "story": json.dumps(story),
    }
    _replace(path, lambda temporary: safetensors.torch.save_file(state, temporary, metadata=about))


def stored_encoder(path: Path, identity: Identity) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the stored encoder's tensors and how it was trained, or None where there is none of this identity.

    Raises:
        SslbenchError: The file is corrupt.
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
        raise SslbenchError(f"encoder {path}: cannot be read ({_first(error)}); delete it to train anew") from error


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _replace(path: Path, write: Any) -> None:
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(descriptor)
        temporary = Path(name)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise SslbenchError(f"cannot write {path}: {_first(error)}; free space or choose --results") from error
