"""Write the README's picture of the page, ``results/reference/report.png``: ``python -m bench.maintenance.screenshot``."""

import io
import shutil
from pathlib import Path

from bench.atomic import write_whole
from bench.errors import SslbenchError, run_cli
from bench.reports.page.write import NAME

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "results" / "reference" / NAME
WIDTH, HEIGHT = 1280, 860
"""Size of the window in pixels."""
LARGEST = 200_000
"""Largest number of bytes of the picture."""


def screenshot() -> None:
    """Write the picture: the page as it opens, in light colours.

    Raises:
        SslbenchError: There is no page, or the picture is too large.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    if not PAGE.is_file():
        raise SslbenchError(f"{PAGE} is missing; write it with `sslbench report --results results/reference`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.context.set_offline(True)
        page.goto(PAGE.as_uri())
        taken = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    # A palette is enough for text and lines, and a third of the size.
    packed = io.BytesIO()
    taken.convert("RGB").quantize(64).save(packed, "PNG", optimize=True)
    if len(packed.getvalue()) > LARGEST:
        raise SslbenchError(
            f"the picture has {len(packed.getvalue()):,} bytes, more than {LARGEST:,}: make the window smaller"
        )
    write_whole(PAGE.with_suffix(".png"), lambda temporary: temporary.write_bytes(packed.getvalue()))


if __name__ == "__main__":
    run_cli(screenshot)
