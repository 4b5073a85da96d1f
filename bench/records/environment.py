"""The environment of a run, as its record stores it: versions, device, precision, threads, commit."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("sslbench", "torch", "torchvision", "lightly", "faiss-gpu", "faiss-cpu", "timm", "numpy", "scikit-learn")


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that influence results."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def commit() -> str | None:
    """Return the git commit of the harness, with ``-dirty`` if its code has uncommitted changes; None outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    try:
        if Path(_git(folder, "rev-parse", "--show-toplevel")) != folder:
            return None
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", "bench", "methods", "protocols")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}-dirty" if changed else head


def describe(device: str, precision: str, threads: int, devices: int = 1) -> dict[str, Any]:
    """Return the environment part of a record.

    Args:
        device: Name of the device.
        precision: Precision of the training.
        threads: CPU threads of each process.
        devices: Number of devices that trained the run together.
    """
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "packages": package_versions(),
        "device": device,
        "devices": devices,
        "precision": precision,
        "threads": threads,
        "commit": commit(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@cache
def processor() -> str:
    """Return the processor's name as the operating system reports it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
