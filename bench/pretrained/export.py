"""Write a trained encoder to one safetensors file, which ``checkpoint:FILE`` loads again: ``sslbench export``."""

import json
from pathlib import Path

import safetensors.torch

from bench.atomic import check_target, write_whole
from bench.pretrained.plain_encoder import plain_encoder, run_name, stored_files
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
