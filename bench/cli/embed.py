"""``sslbench embed``: the features of a folder of images as a file."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import completion
from bench.cli import options as shared
from bench.errors import SslbenchError


def embed(
    run: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.runs,
            help="A record's path or a unique part of it, as for `sslbench show`; or a file of `sslbench export`.",
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="A directory, zip or tar of images.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="The file to write: .parquet or .npz, with path, label (the image's folder) and features.",
        ),
    ] = Path("features.npz"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    results: shared.Results = Path("results"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Compute the features of a folder of images with a trained encoder."""
    from bench.evaluation.embed import FORMATS

    if out.suffix not in FORMATS:
        raise SslbenchError(f"--out {out}: the name must end in {' or '.join(FORMATS)}")
    if out.exists() and not force:
        raise SslbenchError(f"{out} exists; choose another --out, or replace it by --force")
    import torch

    from bench.atomic import check_target
    from bench.device import resolve_device
    from bench.evaluation.embed import embedding, write
    from bench.pretrained.plain_encoder import encoder_of_file, encoder_of_run
    from bench.records.store import Store

    check_target(out)
    is_export = run.endswith(".safetensors") and Path(run).is_file()
    encoder = encoder_of_file(Path(run)) if is_export else encoder_of_run(Store(results), run)
    with embedding(encoder, folder, torch.device(resolve_device(device))) as found:
        write(found, out)
        typer.echo(f"{found.images:,} images, {found.dim} features each: {out}")
