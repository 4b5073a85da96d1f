"""``sslbench doctor``: versions, device, precision, threads, faiss, Ray, data, the results folder and its locks."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import typer

from bench.cli import options as shared
from bench.errors import SslbenchError
from bench.printable import printable


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        subject: What was checked.
        state: ``ok``, ``note`` (works, with a limit) or ``wrong``.
        text: What was found, and what to do if it is wrong.
    """

    subject: str
    state: Literal["ok", "note", "wrong"]
    text: str


def doctor(results: shared.Results = Path("results"), data_root: shared.DataRoot = None) -> None:
    """Check versions, device, precision, threads, faiss, Ray, data, the results folder and its locks."""
    from rich.text import Text

    console, wrong = shared.console(), False
    for finding in examine(results, data_root):
        style = {"ok": "green", "note": "yellow", "wrong": "bold red"}[finding.state]
        console.print(Text.assemble((f"{finding.state:<6}", style), f"{finding.subject:<14}", printable(finding.text)))
        wrong |= finding.state == "wrong"
    raise typer.Exit(2 if wrong else 0)


def examine(results: Path, data_root: Path | None) -> Iterator[Finding]:
    """Yield one finding per subject."""
    from bench.records.environment import package_versions, processor

    versions = package_versions()
    yield Finding("versions", "ok", ", ".join(f"{name} {version}" for name, version in versions.items()))
    try:
        import torch
        import torchvision
    except (ImportError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        yield Finding(
            "torch",
            "wrong",
            f"{reason}; install matching versions of torch and torchvision: pip install -c constraints.txt -e .",
        )
        return
    yield Finding("torch", "ok", f"torch {torch.__version__} with torchvision {torchvision.__version__}")
    yield _processor(processor())
    yield from _gpus()
    yield _precision()
    yield _faiss()
    yield _ray()
    yield from _data(data_root)
    yield _image_cache()
    found = _results(results)
    yield found
    if found.state == "ok":
        yield _locks(results)
    yield from _checkpoints(results)


def _processor(name: str) -> Finding:
    from bench.device import cores, threads_of_run

    small, large = threads_of_run(8), threads_of_run(32)
    text = f"{name}, {cores()} cores; threads per run: {small} for images up to 16 pixels, else {large}"
    return Finding("processor", "ok", text)


def _gpus() -> Iterator[Finding]:
    import torch

    from bench.device import device_name, free_memory, gpus

    if not gpus():
        yield Finding("GPU", "note", "none; runs use the CPU")
    for index in range(gpus()):
        device = torch.device("cuda", index)
        free, total = free_memory(device)
        text = f"{device} {device_name(device)}, {free / 2**30:.0f} of {total / 2**30:.0f} GiB free"
        yield Finding("GPU", "ok", text)


def _precision() -> Finding:
    from bench.device import choose_device, choose_precision

    device = choose_device("auto")
    kinds = ("convolutional", "transformer", "mlp")
    return Finding("precision", "ok", ", ".join(f"{kind} {choose_precision(device, kind)}" for kind in kinds))


def _faiss() -> Finding:
    try:
        import faiss
    except ImportError as error:
        return Finding("faiss", "wrong", f"{error}; pip install -c constraints.txt -e .")
    count = faiss.get_num_gpus() if hasattr(faiss, "get_num_gpus") else 0
    search = f"{count} GPU{'s' if count > 1 else ''}" if count else "exact search on the CPU"
    return Finding("faiss", "ok" if count else "note", f"{faiss.__version__}, {search}")


def _ray() -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding("Ray", "ok", f"{version('ray')}, for --engine ray")
    except PackageNotFoundError:
        return Finding("Ray", "note", "not installed; needed only for --engine ray: pip install 'sslbench[ray]'")


def _data(data_root: Path | None) -> Iterator[Finding]:
    from bench.data import catalogue
    from bench.data.locate import available

    for name in catalogue.names():
        folder = available(name, data_root)
        if folder is None:
            text = "not found; the first run downloads it, or give its folder with --data-root"
            yield Finding(name, "note", text)
        else:
            yield Finding(name, "ok", str(folder))


def _image_cache() -> Finding:
    from bench.data import cache_limit
    from bench.data.locate import cache_folder

    folder = cache_folder() / "images"
    try:
        limit = cache_limit.limit()
        found = cache_limit.entries(folder)
    except OSError as error:
        return Finding("image cache", "wrong", f"{folder} cannot be read: {error.strerror}; set SSLBENCH_CACHE")
    except SslbenchError as error:
        return Finding("image cache", "wrong", str(error))
    size = cache_limit.readable(sum(entry.bytes for entry in found))
    finished = sum(entry.finished for entry in found)
    text = f"{finished} set{'s' * (finished != 1)} of images, {size}" if found else "empty"
    if unfinished := len(found) - finished:
        text += f", and {unfinished} not decoded to its end"
    return Finding(
        "image cache", "ok", f"{folder}: {text}; limit {limit / cache_limit.GB:g} GB ({cache_limit.VARIABLE})"
    )


def _results(results: Path) -> Finding:
    from bench.records.store import Store

    try:
        Store(results).check_writable()
    except SslbenchError as error:
        return Finding("results", "wrong", str(error))
    free = shutil.disk_usage(results).free
    return Finding("results", "ok", f"{results} is writable, {free / 2**30:.0f} GiB free")


def _locks(results: Path) -> Finding:
    """Test the locks of the results folder between two processes; what they do between machines is known by the file system."""
    from bench.records.shared_folder import between_machines, file_system, locks_hold_here

    if not locks_hold_here(results):
        text = f"two processes could lock the same run in {results} ({file_system(results)[0]}); choose another folder with --results"
        return Finding("locks", "wrong", text)
    holds, text = between_machines(*file_system(results))
    return Finding("locks", "ok" if holds else "note", f"they hold between processes; {text}")


def _checkpoints(results: Path) -> Iterator[Finding]:
    """Yield the disk space of the last checkpoints of finished runs."""
    sizes = [path.stat().st_size for path in results.glob("checkpoints*/**/*.last.pt")]
    if sizes:
        runs = f"{len(sizes)} finished run{'s' if len(sizes) > 1 else ''}"
        text = f"{runs}: {sum(sizes) / 2**20:,.0f} MiB of last checkpoints, kept for --extend"
        yield Finding("checkpoints", "ok", f"{text} in {results}/checkpoints; they may be deleted")
