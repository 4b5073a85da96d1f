"""Write a trained encoder to one safetensors file, which ``checkpoint:FILE`` loads again: ``sslbench export``."""

import json
import stat
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from bench.atomic import write_whole
from bench.backbones import build
from bench.errors import SslbenchError
from bench.filenames import method_folder
from bench.pretrained.checkpoint_file import exported_input
from bench.pretrained.weights_file import metadata
from bench.printable import printable
from bench.records.checkpoints import stored_encoder
from bench.records.lookup import find
from bench.records.record import NO_BUDGET, Identity
from bench.records.store import Store
from methods.base import Encoder
from methods.traits import Traits


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
    identity = find(store, run).identity
    name = f"{method_folder(identity.method, identity.settings, identity.plugin)} seed {identity.seed} on {identity.dataset}"
    if identity.budget == NO_BUDGET:
        raise SslbenchError(f"{name} was pretrained elsewhere and cannot be exported; use its own file")
    path = store.encoder_path(identity)
    stored = stored_encoder(path, identity)
    if stored is None:
        raise SslbenchError(
            f"{name}: its encoder is not stored at {path} (committed results have records only); run it again with --force"
        )
    about = metadata(path)
    if "input" not in about:
        raise SslbenchError(
            f"{name}: its stored encoder does not say which input it expects; run it again with --force"
        )
    _check_plain(name, identity, about, stored[0])
    written = {key: about[key] for key in ("backbone", "method", "pooling", "input")} | {
        "backbone_version": str(identity.backbone_version),
        "dataset": identity.dataset,
        "budget": identity.budget,
        "seed": str(identity.seed),
        "settings": json.dumps(identity.settings),
    }
    data = safetensors.torch.save(stored[0], metadata=written)
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


def _check_plain(name: str, identity: Identity, about: dict[str, str], tensors: dict[str, Tensor]) -> None:
    """Raise SslbenchError if the encoder is more than a backbone of the catalogue and one linear layer on top."""
    spec = exported_input(about, name)
    traits = Traits(spec.channels, spec.size, 0, spec.mean, spec.std, False, 0, 0)
    try:
        if identity.method == "pixels":
            raise ValueError("pixels has no network")
        backbone = build(identity.backbone, traits)
        code = nn.Linear(backbone.dim, len(tensors["code.weight"])) if "code.weight" in tensors else None
        Encoder(backbone, spec, None, code).load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise SslbenchError(f"{name} cannot be exported: it is not a plain {identity.backbone} ({line})") from error
