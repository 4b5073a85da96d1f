"""For tests that start sslbench as a process: its command, its environment, and the folder of real data sets."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    """The command that runs sslbench with these arguments."""
    return [sys.executable, "-m", "bench.cli", *map(str, arguments)]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without any SSLBENCH_ variable, plus ``more``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SSLBENCH_")}
    return kept | {"COLUMNS": "160", "PYTHONPATH": str(ROOT)} | more


def real_images() -> Path | None:
    """The folder of real data sets: SSLBENCH_TEST_DATA or ../shared/data; None if it does not exist."""
    folder = Path(os.environ.get("SSLBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None
