"""How often an equal method loses its mark, and how often a worse one does: ``python -m bench.maintenance.calibrate_best``.

The worlds are fitted to the committed records of digits (``latent_answers.py``), whose rows of both backbones answer the same images. In a
world of equal rows every row has the same expected score, the median one of the column, and its own recorded variance between seeds. In
a world of unequal rows one of them, drawn at random, is above all others by two points. The figures go to ``results/calibration``.
An interrupted run goes on where it ended; ``--minutes`` ends it.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from bench.atomic import write_text
from bench.errors import SslbenchError, run_cli
from bench.leaderboard.best import compare_all
from bench.leaderboard.read import Selection, leaderboard_of, read_records
from bench.leaderboard.significance import Answers
from bench.maintenance.latent_answers import Components, draw_world, fit

RESULTS = Path(__file__).resolve().parents[2] / "results"
COLUMNS = {"knn": (1,), "linear": (1,), "lowshot-1-frozen": (10, 50)}
"""The simulated columns with their numbers of draws."""
SEEDS, IMAGES, ROWS = (3, 5, 10), (359, 2000, 10000), 12
LEAD = 0.02
"""How far the best row of an unequal world is above the others."""
BATCH = 10
"""Worlds between two writes."""


@dataclass(frozen=True)
class Cell:
    """One kind of world: ``rows`` rows with ``seeds`` seeds each, measured under ``draws`` draws on ``images`` images."""

    column: str
    draws: int
    seeds: int
    images: int
    rows: int

    @property
    def size(self) -> int:
        """Number of simulated answers."""
        return self.draws * self.seeds * self.images * self.rows


@dataclass
class Figures:
    """What was counted in the worlds of a cell; each list has one entry per world.

    Attributes:
        error: Share of equal rows that lost their mark.
        wide_error: Share of those that did so among the rows whose seeds vary most.
        power: Share of rows two points below the best that lost their mark.
    """

    error: list[float]
    wide_error: list[float]
    power: list[float]


def recorded_columns(results: Path) -> dict[str, list[Answers]]:
    """Return the recorded answers of all ranked rows of digits at ``standard`` with several seeds, per column.

    Raises:
        SslbenchError: A column has fewer than ``ROWS`` such rows.
    """
    records, _ = read_records(results)
    tables = leaderboard_of(records, Selection("digits", budget="standard"), folder=str(results)).tables
    found = {}
    for name in COLUMNS:
        rows = [row.answers[name] for table in tables for row in table.rows if row.rank and name in row.answers]
        rows = [row for row in rows if len(row.by_seed) > 1 and row.paired(rows[0])]
        if len(rows) < ROWS:
            raise SslbenchError(
                f"{results} has {len(rows)} rows of digits/standard with several seeds in {name}: {ROWS} are needed"
            )
        found[name] = rows
    return found


def chosen(components: Components, rows: int) -> Components:
    """Return the components with so many rows, at equal distances in the order of their variances between seeds, extremes included."""
    ordered = sorted(components.seed)
    places = np.linspace(0, len(ordered) - 1, rows).round().astype(int)
    return replace(components, seed=tuple(ordered[i] for i in places))


def cells(all_rows: int) -> Iterator[Cell]:
    """Yield all kinds of worlds, the cheap ones first; one of each column has all recorded rows."""
    found = [
        Cell(column, draws, seeds, images, ROWS)
        for column, numbers in COLUMNS.items()
        for draws in numbers
        for seeds in SEEDS
        for images in IMAGES
    ]
    found += [Cell(column, numbers[0], SEEDS[0], IMAGES[0], all_rows) for column, numbers in COLUMNS.items()]
    yield from sorted(found, key=lambda cell: cell.size)


def one_world(cell: Cell, components: Components, number: int) -> tuple[float, float, float]:
    """Return the shares of equal rows, of the equal rows that vary most, and of worse rows that lose their mark in a world."""
    name = f"{cell.column} {cell.draws} {cell.seeds} {cell.images} {cell.rows} {number}"
    generator = np.random.default_rng(list(hashlib.blake2b(name.encode(), digest_size=16).digest()))

    def lost(scores: Sequence[float]) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        rows = draw_world(components, scores, cell.seeds, cell.draws, cell.images, generator)
        return np.array([not standing.could_be_best for standing in compare_all(rows, name).standings()])

    equal = lost([components.score] * cell.rows)
    leader = int(generator.integers(cell.rows))
    unequal = lost([components.score - (0.0 if i == leader else LEAD) for i in range(cell.rows)])
    return float(equal.mean()), float(equal[-max(cell.rows // 6, 1) :].mean()), float(np.delete(unequal, leader).mean())


def report(figures: dict[Cell, Figures], fitted: dict[str, Components], recorded: dict[str, int]) -> str:
    """Return the figures as markdown."""
    lines = [
        "# Could be the best: error and power",
        "",
        "`python -m bench.maintenance.calibrate_best` simulated worlds fitted to the records of digits; [what it does](README.md#could-be-the-best).",
        "In percent, ± standard error over worlds.",
        "",
        "| column | draws | seeds | images | rows | worlds | equal row unmarked | equal row of widest seeds unmarked | row two points below unmarked |",
        "| :-- | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    for cell, found in sorted(
        figures.items(), key=lambda item: (list(COLUMNS).index(item[0].column), *asdict(item[0]).values())
    ):
        shares = (_percent(values) for values in (found.error, found.wide_error, found.power))
        entries = [cell.column, cell.draws, cell.seeds, f"{cell.images:,}", cell.rows, len(found.error), *shares]
        lines.append(f"| {' | '.join(map(str, entries))} |")
    lines += ["", "The fitted models, variances on the latent scale (the terms but that of the seeds add up to 1):", ""]
    terms = [name for name in asdict(next(iter(fitted.values()))) if name not in ("score", "seed")]
    lines.append(
        f"| column | recorded rows | score, % | {' | '.join(t.replace('_', ' ') for t in terms)} | seed, median | seed, largest |"
    )
    lines.append("| :-- | --: | --: |" + " --: |" * (len(terms) + 2))
    for name, components in fitted.items():
        values = [f"{getattr(components, term):.2f}" for term in terms]
        seed = f"{np.median(components.seed):.3f} | {max(components.seed):.3f}"
        lines.append(f"| {name} | {recorded[name]} | {100 * components.score:.1f} | {' | '.join(values)} | {seed} |")
    return "\n".join([*lines, ""])


def _percent(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{100 * np.mean(values):.1f} ± {100 * error:.1f}"


def main(
    worlds: Annotated[int, typer.Option(help="Number of worlds of each kind, equal and unequal.")] = 100,
    minutes: Annotated[float, typer.Option(help="End after this time; the next start goes on.")] = math.inf,
    results: Annotated[Path, typer.Option(help="The results folder with the records of digits.")] = RESULTS
    / "reference",
    out: Annotated[Path, typer.Option(help="Folder of best.json and best.md.")] = RESULTS / "calibration",
) -> None:
    """Simulate the worlds that are still missing, and write best.json and best.md."""
    end = time.monotonic() + 60 * minutes
    answers = recorded_columns(results)
    fitted = {name: fit(rows) for name, rows in answers.items()}
    recorded = {name: len(rows) for name, rows in answers.items()}
    path = out / "best.json"
    stored = json.loads(path.read_text()) if path.is_file() else {"worlds": []}
    models = json.loads(json.dumps({name: asdict(components) for name, components in fitted.items()}))
    figures: dict[Cell, Figures] = {}
    if stored.get("fitted") == models:
        for entry in stored["worlds"]:
            figures[Cell(**entry["cell"])] = Figures(**entry["figures"])
    for cell in cells(min(recorded.values())):
        components = chosen(fitted[cell.column], cell.rows)
        found = figures.setdefault(cell, Figures([], [], []))
        while len(found.error) < worlds and time.monotonic() < end:
            for number in range(len(found.error), min(len(found.error) + BATCH, worlds)):
                shares = one_world(cell, components, number)
                for values, share in zip((found.error, found.wide_error, found.power), shares, strict=True):
                    values.append(round(share, 6))
            _write(out, figures, fitted, models, recorded)
        typer.echo(f"{cell}: {len(found.error)} worlds, error {_percent(found.error)}, power {_percent(found.power)}")
        if time.monotonic() > end:
            typer.echo("time is up; start again to go on")
            return
    _write(out, figures, fitted, models, recorded)


def _write(
    out: Path,
    figures: dict[Cell, Figures],
    fitted: dict[str, Components],
    models: dict[str, Any],
    recorded: dict[str, int],
) -> None:
    done = {cell: found for cell, found in figures.items() if found.error}
    worlds = [{"cell": asdict(cell), "figures": asdict(found)} for cell, found in done.items()]
    write_text(out / "best.json", json.dumps({"fitted": models, "worlds": worlds}) + "\n")
    write_text(out / "best.md", report(done, fitted, recorded))


if __name__ == "__main__":
    run_cli(lambda: typer.run(main))
