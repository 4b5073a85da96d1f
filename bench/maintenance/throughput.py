"""Files of measured speeds: written from the output of pytest-benchmark, and compared with each other.

Commands: ``python -m bench.maintenance.throughput keep RAW`` (called by ``make throughput``) and
``python -m bench.maintenance.throughput compare OLD NEW``.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.atomic import write_text
from bench.errors import SslbenchError, run_cli
from bench.maintenance.throughput_report import summary, to_markdown

FOLDER = Path("results/throughput")
DIGITS = 4
"""Significant digits of stored numbers."""
SLOWER = 1.1
"""A measurement is reported as slower if it takes at least this many times as long."""

Figures = dict[str, Any]
"""Content of a file: ``device``, ``processor``, ``packages``, ``commit``, ``measured``, and ``groups``: group -> work -> engine -> numbers."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def from_benchmark(raw: dict[str, Any]) -> Figures:
    """Return the figures of a JSON file that ``pytest --benchmark-json`` wrote.

    Raises:
        SslbenchError: It has no measurements.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for benchmark in raw.get("benchmarks", []):
        facts = dict(benchmark["extra_info"])
        stats, images = benchmark["stats"], facts.pop("images")
        what, engine = facts.pop("what"), facts.pop("engine")
        seconds = facts.pop("device_seconds", None) or stats["median"]
        groups.setdefault(benchmark["group"], {}).setdefault(what, {})[engine] = {
            "images_per_s": _rounded(images / seconds),
            "seconds": _rounded(seconds),
            "quartiles_apart": _rounded(stats["iqr"]),
            "rounds": stats["rounds"],
        } | facts
    if not groups:
        raise SslbenchError("this file has no measurements; write one with `make throughput`")
    machine = raw["machine_info"]
    return {
        **machine,
        "commit": raw["commit_info"].get("id"),
        "measured": raw["datetime"][:10],
        "how": "median of the rounds after a warm-up; images per second count each image once, not its views; all engines of a group were measured in one run",
        "groups": groups,
    }


def slower(old: Figures, new: Figures) -> list[str]:
    """Return one line per measurement that takes at least 10 % longer in ``new``, the worst first."""
    found = []
    for group, works in new["groups"].items():
        for what, engines in works.items():
            for engine, now in engines.items():
                before = old["groups"].get(group, {}).get(what, {}).get(engine)
                if before is None:
                    continue
                ratio = (before["images_per_s"] or 0) / now["images_per_s"]
                if ratio >= SLOWER:
                    found.append((ratio, f"{ratio:.2f} times as long: {group}: {what}, {engine}"))
    return [line for _, line in sorted(found, reverse=True)]


def read(path: Path) -> Figures:
    """Return the figures of a file.

    Raises:
        SslbenchError: It cannot be read, or is not a throughput file.
    """
    try:
        figures = json.loads(path.read_text())
        if not isinstance(figures["groups"], dict):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SslbenchError(f"{path} was not written by `make throughput` ({type(error).__name__})") from error
    return dict(figures)


def file_name(device: str) -> str:
    """Return the name of a device's file, without suffix: ``2-cores``, ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


@app.command()
def keep(
    raw: Annotated[Path, typer.Argument(help="File written by pytest --benchmark-json.")],
    into: Annotated[Path, typer.Option(help="Folder of the throughput files.")] = FOLDER,
) -> None:
    """Store the figures of one run as JSON and as tables, and print what became slower than in the previous file."""
    try:
        figures = from_benchmark(json.loads(raw.read_text()))
    except (OSError, ValueError, KeyError) as error:
        raise SslbenchError(f"{raw} was not written by pytest --benchmark-json ({error})") from error
    path = into / f"{file_name(figures['device'])}.json"
    lines = slower(read(path), figures) if path.is_file() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(figures, indent=1) + "\n")
    write_text(path.with_suffix(".md"), to_markdown(figures))
    print(summary(figures))
    _print_slower(lines)


@app.command()
def compare(old: Annotated[Path, typer.Argument()], new: Annotated[Path, typer.Argument()]) -> None:
    """Print what is slower in the second file than in the first."""
    _print_slower(slower(read(old), read(new)))


def _print_slower(lines: list[str]) -> None:
    print("\n".join(["Slower than before:", *lines] if lines else ["Nothing became slower by 10 % or more."]))


if __name__ == "__main__":
    run_cli(app)
