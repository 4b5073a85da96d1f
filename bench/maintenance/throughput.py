"""Files of measured speeds: made from what pytest-benchmark wrote, drawn as tables, compared with one another.

Commands: ``python -m bench.maintenance.throughput keep RAW`` (``make throughput`` calls it) and ``python -m bench.maintenance.throughput compare OLD NEW``.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.atomic import write_text
from bench.errors import SslbenchError, answer
from bench.maintenance.throughput_report import to_markdown, worth_saying

FOLDER = Path("results/throughput")
ROUNDING = 4
NOTICED = 1.1
"""A piece of work counts as slower from so many times its time on."""

Figures = dict[str, Any]
"""``device``, ``processor``, ``packages``, ``commit``, ``measured`` and ``groups``: group -> what -> engine -> figures of one piece of work."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


def from_benchmark(raw: dict[str, Any]) -> Figures:
    """Return the figures of what ``pytest --benchmark-json`` wrote.

    Raises:
        SslbenchError: It holds no measurement of ours.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for one in raw.get("benchmarks", []):
        facts = dict(one["extra_info"])
        stats, images = one["stats"], facts.pop("images")
        what, engine = facts.pop("what"), facts.pop("engine")
        seconds = facts.pop("device_seconds", None) or stats["median"]
        groups.setdefault(one["group"], {}).setdefault(what, {})[engine] = {
            "images_per_s": _rounded(images / seconds),
            "seconds": _rounded(seconds),
            "quartiles_apart": _rounded(stats["iqr"]),
            "rounds": stats["rounds"],
        } | facts
    if not groups:
        raise SslbenchError("no measurement in this file: make it with `make throughput`")
    machine = raw["machine_info"]
    return {
        **machine,
        "commit": raw["commit_info"].get("id"),
        "measured": raw["datetime"][:10],
        "how": "median of the rounds after a warm-up; images a second count an image once, whatever its views; all engines of a group in one run",
        "groups": groups,
    }


def slower(old: Figures, new: Figures) -> list[str]:
    """Return a line for each piece of work that takes at least a tenth longer in ``new``, the worst first."""
    found = []
    for group, works in new["groups"].items():
        for what, engines in works.items():
            for engine, now in engines.items():
                before = old["groups"].get(group, {}).get(what, {}).get(engine)
                if before is None:
                    continue
                ratio = (before["images_per_s"] or 0) / now["images_per_s"]
                if ratio >= NOTICED:
                    found.append((ratio, f"{ratio:.2f} times the time  {group}: {what}, {engine}"))
    return [line for _, line in sorted(found, reverse=True)]


def read(path: Path) -> Figures:
    """Return the figures of a file.

    Raises:
        SslbenchError: It cannot be read, or is none of ours.
    """
    try:
        figures = json.loads(path.read_text())
        if not isinstance(figures["groups"], dict):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SslbenchError(f"{path} is no file of `make throughput` ({type(error).__name__})") from error
    return dict(figures)


def file_name(device: str) -> str:
    """Return the name of a device's file, without its ending: ``2-cores``, ``nvidia-h100-80gb-hbm3``."""
    return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")


def _rounded(value: float) -> float:
    return float(f"{value:.{ROUNDING}g}")


@app.command()
def keep(
    raw: Annotated[Path, typer.Argument(help="What pytest --benchmark-json wrote.")],
    into: Annotated[Path, typer.Option(help="The folder of such files.")] = FOLDER,
) -> None:
    """Keep the figures of one run as JSON and as tables, and say what became slower than in the file before."""
    try:
        figures = from_benchmark(json.loads(raw.read_text()))
    except (OSError, ValueError, KeyError) as error:
        raise SslbenchError(f"{raw} is nothing that pytest --benchmark-json wrote ({error})") from error
    path = into / f"{file_name(figures['device'])}.json"
    lines = slower(read(path), figures) if path.is_file() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(figures, indent=1) + "\n")
    write_text(path.with_suffix(".md"), to_markdown(figures))
    print(worth_saying(figures))
    _say(lines)


@app.command()
def compare(old: Annotated[Path, typer.Argument()], new: Annotated[Path, typer.Argument()]) -> None:
    """Print what became slower from one file to another."""
    _say(slower(read(old), read(new)))


def _say(lines: list[str]) -> None:
    print("\n".join(["Slower than before:", *lines] if lines else ["Nothing became slower by a tenth."]))


if __name__ == "__main__":
    answer(app)
