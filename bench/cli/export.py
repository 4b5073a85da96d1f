"""``sslbench export``: write a trained encoder as a file."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options as shared


def export(
    run: shared.RunName,
    file: Annotated[Path, typer.Argument(help="The file to write, for example simclr.safetensors.")],
    results: shared.Results = Path("results"),
) -> None:
    """Write a trained encoder as safetensors; `sslbench run checkpoint:FILE` measures it again."""
    from bench.pretrained.export import export as write
    from bench.records.store import Store

    typer.echo(write(Store(results), run, file))
