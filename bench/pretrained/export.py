"""`sslbench export`: a trained encoder as one file of safetensors that `checkpoint:FILE` brings back."""

import json
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from bench.atomic import write_whole
from bench.backbones import build
from bench.errors import SslbenchError
from bench.filenames import method_folder
from bench.pretrained.checkpoint_file import exported_input
from bench.pretrained.weights_file import metadata
from bench.records.checkpoints import stored_encoder
from bench.records.lookup import find
from bench.records.record import NO_BUDGET, Identity
from bench.records.store import Store
from methods.base import Encoder
from methods.traits import Traits


def export(store: Store, run: str, file: Path) -> str:
    """Write the encoder of a run, with its backbone, pooling and input in the metadata; return a line that says so.

    Args:
        store: The results folder.
        run: As ``sslbench show`` takes it.
        file: Where to write.

    Raises:
        SslbenchError: No such run, no encoder is kept of it, it is no plain backbone, or the file cannot be written.
    """
    identity = find(store, run).identity
    name = f"{method_folder(identity.method, identity.settings)} seed {identity.seed} on {identity.dataset}"
    if identity.budget == NO_BUDGET:
        raise SslbenchError(f"{name} was pretrained elsewhere: its own file is its export")
    path = store.encoder_path(identity)
    stored = stored_encoder(path, identity)
    if stored is None:
        raise SslbenchError(
            f"{name}: its encoder is not at {path} (only records are committed): run it again with --force"
        )
    about = metadata(path)
    if "input" not in about:
        raise SslbenchError(f"{name}: its encoder was stored without its input; run it again with --force")
    _check_plain(name, identity, about, stored[0])
    said = {key: about[key] for key in ("backbone", "method", "pooling", "input")} | {
        "backbone_version": str(identity.backbone_version),
        "dataset": identity.dataset,
        "budget": identity.budget,
        "seed": str(identity.seed),
        "settings": json.dumps(identity.settings),
    }
    data = safetensors.torch.save(stored[0], metadata=said)
    write_whole(file, lambda temporary: temporary.write_bytes(data))
    return f"{name}: {identity.backbone} written to {file}; `sslbench run checkpoint:{file}` measures it"


def _check_plain(name: str, identity: Identity, about: dict[str, str], tensors: dict[str, Tensor]) -> None:
    """Raise SslbenchError where the encoder is more than its backbone and a linear code: no other harness could build it."""
    spec = exported_input(about, name)
    traits = Traits(spec.channels, spec.size, 0, spec.mean, spec.std, False, 0, 0)
    try:
        if identity.method == "pixels":
            raise ValueError("it has no network")
        backbone = build(identity.backbone, traits)
        code = nn.Linear(backbone.dim, len(tensors["code.weight"])) if "code.weight" in tensors else None
        Encoder(backbone, spec, None, code).load_state_dict(tensors)
    except (RuntimeError, ValueError) as error:
        line = str(error).splitlines()[0]
        raise SslbenchError(f"{name} cannot be exported: it is not a plain {identity.backbone} ({line})") from error
