"""Write a trained encoder to one safetensors file, which ``checkpoint:FILE`` loads again: ``sslbench export``."""

import json
import stat
from pathlib import Path

import safetensors.torch

from bench.atomic import write_whole
from bench.errors import SslbenchError
from bench.pretrained.plain_encoder import plain_encoder, run_name, stored_files
from bench.printable import printable
from bench.records.lookup import find
from bench.records.store import Store


def export(store: Store, run: str, file: Path) -> str:
    """Write a run's encoder, with its backbone, pooling and input as metadata; return a line for the user.

    Args:
        store: The results folder.
        run: The run's path or a part of it, as for ``sslbench show``.
        file: The file to write.

    Raises:
        SslbenchError: There is no such run, its encoder is not stored or is not a plain backbone, or the file cannot be
            written or is no regular file.
    """
    check_target(file)
    record = find(store, run)
    identity, name = record.identity, run_name(record.identity)
    tensors, about = stored_files(store, record)
    # Only what `checkpoint:FILE` can build again is written.
    plain_encoder("none" if identity.method == "pixels" else identity.backbone, about, tensors, name)
    written = {key: about[key] for key in ("backbone", "method", "pooling", "input")} | {
        "backbone_version": str(identity.backbone_version),
        "dataset": identity.dataset,
        "budget": identity.budget,
        "seed": str(identity.seed),
        "settings": json.dumps(identity.settings),
    }
    data = safetensors.torch.save(tensors, metadata=written)
    write_whole(file, lambda temporary: temporary.write_bytes(data), "choose another file")
    return f"{name}: {identity.backbone} written to {file}; `sslbench run checkpoint:{file}` measures it"


def check_target(file: Path) -> None:
    """Raise SslbenchError if a file to write exists and is anything but a regular file or a link to one: a device is never replaced."""
    shown = printable(str(file))
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            mode = file.stat().st_mode
    except FileNotFoundError:
        return  # nothing is there, or a link to nothing, which is replaced
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SslbenchError(f"cannot write {shown}: {reason}; choose another file") from error
    if stat.S_ISDIR(mode):
        raise SslbenchError(f"cannot write {shown}: it is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise SslbenchError(f"cannot write {shown}: it is a device or a pipe; choose another file")
