"""How tests start the program as a user does, and where they find real images."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bench.cli", *map(str, arguments)]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing for sslbench."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SSLBENCH_")}
    return kept | {"COLUMNS": "160", "PYTHONPATH": str(ROOT)} | more


def real_images() -> Path | None:
    """The folder of real data sets: SSLBENCH_TEST_DATA, or ../shared/data; None where it is missing."""
    folder = Path(os.environ.get("SSLBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None
