"""The studies of a results folder as sections of its page."""

import base64
import io
from pathlib import Path

from bench.errors import SslbenchError
from bench.records.stored_files import open_regular
from bench.reports.page.model import Image, Section
from bench.studies.formats import plain_table
from bench.studies.load import find, names
from bench.studies.manifest import Picture, folder_of, load_results, read
from bench.studies.table import build_report

WIDEST = 1000
"""Largest width of a figure in pixels; wider ones are made smaller."""
QUALITY = 30
"""Quality of the figures' WebP form."""
LARGEST_IMAGE = 20_000_000
"""Largest number of bytes of a figure's file."""


def sections(results: Path) -> tuple[list[Section], list[str]]:
    """Return the studies with results in a folder, and one line for each study or figure that cannot be shown."""
    found, missing = [], []
    stored = {path.parent.name for path in (results / "studies").glob("*/study.json")}
    for name in sorted(stored - set(names())):
        missing.append(
            f"study {name}: not in the page, its file is not part of sslbench; `sslbench study FILE --show` shows it"
        )
    for name in names():
        if name in stored:
            try:
                found.append(_section(results, name, missing))
            except SslbenchError as error:
                missing.append(f"study {name}: not in the page: {error}")
    return found, missing


def _section(results: Path, name: str, missing: list[str]) -> Section:
    study = find(name)
    runs, pictures = read(results, name)
    report = build_report(study, load_results(results, runs))
    headings, rows, legend = plain_table(report)
    images = []
    for picture in pictures:
        try:
            images.append(_image(folder_of(results, name), picture))
        except (OSError, ValueError) as error:
            missing.append(f"study {name}: figure {picture.file} cannot be read ({error})")
    return Section(
        name=name,
        title=study.title,
        introduction=(study.published, f"Measured on {report.measured_on}."),
        headings=headings,
        rows=rows,
        legend=legend,
        findings=tuple(finding.sentence for finding in report.findings),
        notes=tuple(report.notes),
        images=tuple(images),
        link=study.source or None,
    )


def _image(folder: Path, picture: Picture) -> Image:
    """Return a figure as WebP, at most ``WIDEST`` pixels wide; the file must be in the study's folder."""
    from PIL import Image as Pillow

    if Path(picture.file).name != picture.file:
        raise ValueError("it is outside of the study's folder")
    with open_regular(folder / picture.file) as file:
        content = file.read(LARGEST_IMAGE + 1)
    if len(content) > LARGEST_IMAGE:
        raise ValueError(f"it is larger than {LARGEST_IMAGE:,} bytes")
    try:
        drawn = Pillow.open(io.BytesIO(content), formats=["PNG"]).convert("RGBA")
    except Pillow.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    image = Pillow.new("RGB", drawn.size, "white")
    image.paste(drawn, mask=drawn.getchannel("A"))
    image.thumbnail((WIDEST, 100 * WIDEST))
    packed = io.BytesIO()
    image.save(packed, "WEBP", quality=QUALITY, method=6)
    source = f"data:image/webp;base64,{base64.b64encode(packed.getvalue()).decode()}"
    return Image(source, image.width, image.height, picture.caption.partition(". ")[0], picture.caption)
