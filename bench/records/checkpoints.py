"""Checkpoints of pretraining and stored encoders: files of tensors with a checksum, which name the run that they belong to."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from bench.atomic import write_whole
from bench.errors import DamagedFile
from bench.records.digest import digest
from bench.records.record import Identity
from bench.records.stored_files import open_regular
from methods.base import Encoder

FORM = 4
"""Version of both kinds of files; a file of another form is refused."""
_BLOCK = 2**20
_NO_CHECKSUM = "it has no checksum, so it is damaged or of another version of sslbench"
_OTHER_FORM = "it is of another version of sslbench"
_WRONG_CHECKSUM = "it is damaged, its checksum is wrong"
_MARK = b"sslbench-blake2b"
_COMMENT = len(_MARK) + 32
"""Bytes of the comment at the end of a checkpoint, which is a zip archive: the mark and the hash of all bytes before the comment."""
_NO_HASH = b"0" * 64
_HASH_ENTRY = re.compile(rb'"checksum":"([0-9a-f]{64})"')
"""Entry in an encoder's header: hash of the whole file in which these 64 digits are zeros."""


def save_checkpoint(path: Path, identity: Identity, state: dict[str, Any]) -> None:
    """Write the state of a training.

    Raises:
        StorageError: The folder cannot be written, or the disk is full.
    """

    def write(temporary: Path) -> None:
        torch.save({"form": FORM, "identity": digest(identity), **state}, temporary)
        with temporary.open("r+b") as file:
            _add_checksum(file)

    write_whole(path, write)


def load_checkpoint(path: Path, identity: Identity, *, mapped: bool = False) -> dict[str, Any] | None:
    """Return the state that was saved for this identity, or None if there is none or it belongs to another identity.

    Args:
        path: The file.
        identity: The run that the state must belong to.
        mapped: Tensors stay on the disk until they are used.

    Raises:
        DamagedFile: The file is damaged or of another form.
    """
    try:
        with open_regular(path) as file:
            _verify(file)
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except FileNotFoundError:
        return None
    except Exception as error:  # torch reports a damaged file by errors of many types
        raise DamagedFile(f"checkpoint {path} cannot be read ({_first_line(error)})") from error
    if not isinstance(state, dict) or state.get("identity") != digest(identity):
        return None
    if state.get("form") != FORM:
        raise DamagedFile(f"checkpoint {path} cannot be read ({_OTHER_FORM})")
    return state


def is_checkpoint(path: Path, identity: Identity) -> bool:
    """Return whether a file is there and not that of another run; only its run reads it whole and finds out whether it is damaged."""
    return _is_present(path, lambda: torch.load(path, "cpu", weights_only=True, mmap=True)["identity"], identity)


def save_encoder(path: Path, identity: Identity, encoder: Encoder, training: dict[str, Any]) -> None:
    """Write an encoder as safetensors; its metadata say to which run it belongs, how it was trained and what it expects (JSON).

    Raises:
        StorageError: The folder cannot be written, or the disk is full.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    about = {
        "form": str(FORM),
        "identity": digest(identity),
        "backbone": identity.backbone,
        "method": identity.method,
        "pooling": encoder.pooling,
        "input": json.dumps(asdict(encoder.input)),
        "training": json.dumps(training),
        "checksum": _NO_HASH.decode(),
    }
    data = bytearray(safetensors.torch.save(state, metadata=about))
    start = data.index(b'"checksum":"' + _NO_HASH) + len(b'"checksum":"')
    data[start : start + 64] = hashlib.blake2b(data, digest_size=32).hexdigest().encode()
    write_whole(path, lambda temporary: temporary.write_bytes(data))


def stored_encoder(path: Path, identity: Identity) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the stored encoder's tensors and how it was trained, or None if there is none of this identity.

    Raises:
        DamagedFile: The file is damaged or of another form.
    """
    try:
        with open_regular(path) as file:
            header = _header(file)
            file.seek(0)
            data = bytearray(file.read())
        found = _HASH_ENTRY.search(data, 8, 8 + len(header))
        if found is None:
            raise ValueError(_NO_CHECKSUM)
        checksum = found[1].decode()
        data[slice(*found.span(1))] = _NO_HASH
        if hashlib.blake2b(data, digest_size=32).hexdigest() != checksum:
            raise ValueError(_WRONG_CHECKSUM)
        about = json.loads(header)["__metadata__"]
        if about["identity"] != digest(identity):
            return None
        if about["form"] != str(FORM):
            raise ValueError(_OTHER_FORM)
        return safetensors.torch.load(bytes(data)), json.loads(about["training"])
    except FileNotFoundError:
        return None
    except (
        safetensors.SafetensorError,
        OSError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise DamagedFile(f"encoder {path} cannot be read ({_first_line(error)})") from error


def is_encoder(path: Path, identity: Identity) -> bool:
    """Return whether a file is there and not that of another run; see ``is_checkpoint``."""

    def owner() -> Any:
        with open_regular(path) as file:
            return json.loads(_header(file))["__metadata__"]["identity"]

    return _is_present(path, owner, identity)


def _is_present(path: Path, owner: Callable[[], Any], identity: Identity) -> bool:
    try:
        with open_regular(path):
            return bool(owner() == digest(identity))
    except FileNotFoundError:
        return False
    except Exception:  # damaged files raise errors of many types
        return True


def _add_checksum(file: BinaryIO) -> None:
    """Append the hash of a zip archive as its comment."""
    file.seek(-2, 2)  # the archive ends with the length of its comment
    file.write(_COMMENT.to_bytes(2, "little"))
    length = file.tell()
    file.write(_MARK + _hash(file, length))


def _verify(file: BinaryIO) -> None:
    """Raise ValueError if an archive does not end with the hash of its bytes."""
    length = max(0, file.seek(0, 2) - _COMMENT)
    file.seek(length)
    comment = file.read(_COMMENT)
    if not comment.startswith(_MARK):
        raise ValueError(_NO_CHECKSUM)
    if comment != _MARK + _hash(file, length):
        raise ValueError(_WRONG_CHECKSUM)


def _hash(file: BinaryIO, length: int) -> bytes:
    """Return the hash of the first bytes of a file; the position in the file is the end of these bytes afterwards."""
    file.seek(0)
    found = hashlib.blake2b(digest_size=32)
    while length and (block := file.read(min(_BLOCK, length))):
        found.update(block)
        length -= len(block)
    return found.digest()


def _header(file: BinaryIO) -> bytes:
    """Return the header of a safetensors file."""
    length = int.from_bytes(file.read(8), "little")
    header = file.read(min(length, 100_000_000))
    if length != len(header):
        raise ValueError("it is incomplete")
    return header


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
