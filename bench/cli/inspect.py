"""``sslbench inspect``: what a data set contains, and a picture of its images and views."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import completion
from bench.cli import options as shared

if TYPE_CHECKING:
    from bench.data.dataset import Dataset


def inspect(
    dataset: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.datasets,
            help="A data set of `sslbench list datasets`, or your own images, such as folder:PATH.",
        ),
    ],
    data_root: shared.DataRoot = None,
    image_size: Annotated[
        int | None, typer.Option(min=8, max=1024, help="Size in pixels to which own images are resized; 96 by default.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write a picture of images per class and of the methods' views."),
    ] = None,
) -> None:
    """Show what a data set contains: parts, classes, sizes, duplicates; with --out also a picture of its images and views."""
    if out is not None and out.suffix.lower() != ".png":
        raise typer.BadParameter(f"{out}: the picture is a PNG file; end the name in .png")
    from bench.atomic import check_target
    from bench.data.spec import DatasetSpec

    if out is not None:
        check_target(out)
    found = DatasetSpec(dataset, data_root, image_size).load()
    for line in lines(found):
        typer.echo(line)
    if out is not None:
        _write_sheet(found, out)
        typer.echo(f"wrote {out}")


def lines(dataset: "Dataset") -> list[str]:
    """Return what a data set contains, as lines of text. The test labels stay sealed."""
    import torch

    from bench.data.describe import description
    from bench.printable import printable

    counts = torch.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    val = torch.bincount(dataset.train_labels[dataset.val], minlength=len(dataset.class_names))
    width = max(5, *(len(printable(name, 40)) for name in dataset.class_names))
    table = [f"  {'class':{width}}  train  of them val"]
    for name, train, held in zip(dataset.class_names, counts.tolist(), val.tolist(), strict=True):
        table.append(f"  {printable(name, 40):{width}}  {train:5,}  {held:11,}")
    traits = dataset.traits
    statistics = "; ".join(
        f"{kind} {', '.join(f'{value:.4f}' for value in values)}"
        for kind, values in (("mean", traits.mean), ("standard deviation", traits.std))
    )
    largest, smallest = int(counts.max()), int(counts.min())
    remarks = (
        [f"the largest class has {largest:,} training images, the smallest {smallest:,}"]
        if largest > 1.5 * smallest
        else []
    )
    return [
        f"{dataset.name}, fingerprint {dataset.fingerprint}",
        *description(dataset),
        f"pixels of train, from 0 to 1: {statistics}",
        *([] if dataset.duplicates else ["no test image has the same pixels as a training image"]),
        *remarks,
        "",
        *table,
    ]


def _write_sheet(dataset: "Dataset", out: Path) -> None:
    import matplotlib.pyplot as plt

    from bench.atomic import write_whole
    from bench.reports.contact_sheet import contact_sheet

    figure = contact_sheet(dataset)
    write_whole(out, lambda path: figure.savefig(path, format="png", dpi=110), "free space or choose another --out")
    plt.close(figure)
