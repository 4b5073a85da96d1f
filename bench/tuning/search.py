"""``sslbench tune``: the trials of all methods, the best ones with more seeds, and the winners on the test set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from bench.atomic import write_text
from bench.errors import SslbenchError, StorageError
from bench.execution.events import RunEnded
from bench.execution.session import carry_out, prepare
from bench.planning.plan import run_key
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request, check_names
from bench.printable import printable
from bench.records.record import Identity
from bench.records.store import Store
from bench.training.options import RunOptions
from bench.tuning import summary as summaries
from bench.tuning.build import Searching, summary_of
from bench.tuning.journal import Journal, Searched
from bench.tuning.mark import mark
from bench.tuning.outlook import print_outlook
from bench.tuning.points import check_optuna
from bench.tuning.score import REPEATED, TESTED, Outcome, candidates, winner
from bench.tuning.show import to_markdown, to_screen
from bench.tuning.trials import MethodTrials, Part, outcome_of, parts_of, planned, trials_of, why_not
from protocols import catalogue as protocols

if TYPE_CHECKING:
    from rich.console import Console

MOST_TRIALS = 1000
"""Largest number of trials of a method."""


def tune(
    request: Request, count: int, options: RunOptions, console: "Console", *, dry_run: bool = False
) -> list[Identity]:
    """Search the settings of methods, measure the winners on the test set, and write and show the summary.

    Args:
        request: Methods, budget and backbone.
        count: Number of trials of each method.
        options: Options of the runs; the search sets the task.
        console: Where plans, progress and the summary are printed.
        dry_run: Only print the search spaces, the trials and an estimate of the time.

    Returns:
        The runs of the repeated trials and on the test set that did not end well; a trial may fail.

    Raises:
        SslbenchError: Invalid input, a method without a search space, or ``prepare`` raised.
        KeyboardInterrupt: The user stopped.
    """
    if not 1 <= count <= MOST_TRIALS:
        raise SslbenchError(f"--trials {count}: must be from 1 to {MOST_TRIALS:,}; the first is the shipped recipe")
    check_optuna()
    check_names(request, options)
    for name in request.methods:
        if (reason := why_not(name)) is not None:
            raise SslbenchError(f"method {name}: {reason}; leave it out")
    prepare(options, dry_run=dry_run)
    parts = parts_of(request, options, download=not dry_run)
    methods, left_out = trials_of(parts[0], count)
    of_reason: dict[str, list[str]] = {}
    for name, reason in (left_out | dict(parts[0].shipped.skipped)).items():
        of_reason.setdefault(reason, []).append(name)
    for reason, names in of_reason.items():
        _print(console, f"left out {', '.join(names)}: {reason}")
    if not methods:
        raise SslbenchError("no method that can be tuned is left; name others, or another --backbone")
    if dry_run:
        print_outlook(methods, parts, console)
        return []
    return _Search(request, count, options, parts, methods, console).carry_out()


class _Search:
    """One search of several methods; see ``tune``.

    Attributes:
        outcomes: Of each method: what came of (trial, seed).
        failed: Runs that did not end well, those of trials with their first seed left out.
    """

    def __init__(
        self,
        request: Request,
        count: int,
        options: RunOptions,
        parts: Sequence[Part],
        methods: Sequence[MethodTrials],
        console: "Console",
    ) -> None:
        self.request, self.count, self.parts, self.methods, self.console = request, count, parts, methods, console
        self.on_test = replace(options, dataset=replace(options.dataset, task="test", fold=None))
        self.outcomes: list[dict[tuple[int, int], Outcome]] = [{} for _ in methods]
        self.failed: list[Identity] = []
        self.journals = [Journal(self._folder(trials)) for trials in methods]

    def carry_out(self) -> list[Identity]:
        """Carry out all stages; what is recorded is not repeated."""
        trials, of = range(self.count), len(self.methods)
        for trials_of_method, journal in zip(self.methods, self.journals, strict=True):
            if message := journal.ask(_searched(trials_of_method)):
                _print(self.console, message, "yellow")
        self._heading(1, f"{self.count} trials of {of} method{'s' if of > 1 else ''} on the development task")
        self._run([(m, trial, 0) for m in range(of) for trial in trials])
        best = [candidates(self._of_seed(m, 0)) for m in range(of)]
        self._heading(2, f"the {max(map(len, best))} best trials of each method with {len(REPEATED)} seeds")
        self._run([(m, trial, seed) for m in range(of) for trial in best[m] for seed in REPEATED[1:]])
        repeated = [{trial: self._of_trial(m, trial) for trial in best[m]} for m in range(of)]
        winners = [winner(found) for found in repeated]
        # The winners are fixed, and written, before the first test label is read.
        self._write(repeated, winners)
        self._heading(3, f"the winners and the shipped recipes with {len(TESTED)} seeds on the test set")
        self._test(winners)
        for path, found in self._write(repeated, winners):
            self.console.print()
            self.console.print(to_screen(found, self.console.width))
            _print(self.console, f"The search: {path} and {path.with_suffix('.md').name}")
        return self.failed

    def _heading(self, number: int, text: str) -> None:
        self.console.print()
        _print(self.console, f"{number} of 3: {text}", "bold")

    def _run(self, wanted: Sequence[tuple[int, int, int]]) -> None:
        """Carry out trials (method, trial, seed) on all parts, and keep what came of them."""
        first = wanted[0][2] == 0 if wanted else False
        for part in self.parts:
            runs = planned(part, [(self.methods[m], trial, seed) for m, trial, seed in wanted])
            plan = replace(part.shipped, runs=runs, records=[], skipped={})
            keys = {run_key(run.identity): key for run, key in zip(runs, wanted, strict=True)}
            if not plan.todo:
                continue

            def on_ended(event: RunEnded, keys: Mapping[tuple[object, ...], tuple[int, int, int]] = keys) -> None:
                m, trial, seed = keys[run_key(event.identity)]
                if seed == 0:
                    self._keep(m, trial, seed)
                    self._tell(m)

            performed = carry_out(
                plan, part.options, self.console, in_study=part is not self.parts[0], on_ended=on_ended
            )
            self.failed += [] if first else performed.failed
        for m, trial, seed in wanted:
            self._keep(m, trial, seed)
            if (trial, seed) not in self.outcomes[m]:
                name = self.methods[m].method
                raise SslbenchError(f"trial {trial} of {name}, seed {seed}: has no record; run the command again")
        for m in dict.fromkeys(m for m, _, seed in wanted if seed == 0):
            self._tell(m)

    def _keep(self, m: int, trial: int, seed: int) -> None:
        if (outcome := outcome_of(self.methods[m], trial, seed, self.parts)) is not None:
            self.outcomes[m][trial, seed] = outcome

    def _tell(self, m: int) -> None:
        ended = {trial: outcome for (trial, seed), outcome in self.outcomes[m].items() if seed == 0}
        self.journals[m].tell(_searched(self.methods[m]), ended)

    def _of_seed(self, m: int, seed: int) -> list[Outcome]:
        return [self.outcomes[m][trial, seed] for trial in range(self.count)]

    def _of_trial(self, m: int, trial: int) -> list[Outcome]:
        return [self.outcomes[m][trial, seed] for seed in REPEATED]

    def _test(self, winners: Sequence[int | None]) -> None:
        """Measure the shipped recipes and the winners on the test set, and mark the winners' records."""
        asked = replace(self.request, protocols=(), seeds=tuple(TESTED), settings=())
        own = {(trials.method, trials.backbone) for trials in self.methods}
        plan = plan_runs(asked, self.on_test)
        shipped = [run for run in plan.runs if (run.identity.method, run.identity.backbone) in own]
        part = Part(self.on_test, replace(plan, runs=shipped))
        won = [(trials, found) for trials, found in zip(self.methods, winners, strict=True) if found is not None]
        wanted = [(trials, found, seed) for trials, found in won for seed in TESTED]
        runs = {run_key(run.identity): run for run in [*shipped, *planned(part, wanted, tuple(protocols.DEFAULT))]}
        performed = carry_out(replace(plan, runs=list(runs.values()), skipped={}), self.on_test, self.console)
        self.failed += performed.failed
        store = Store(self.on_test.results)
        for trials, found in won:
            of_method = planned(part, [(trials, found, seed) for seed in TESTED], tuple(protocols.DEFAULT))
            mark(store, [run.identity for run in of_method], self.count)

    def _write(
        self, repeated: Sequence[Mapping[int, Sequence[Outcome]]], winners: Sequence[int | None]
    ) -> list[tuple[Path, summaries.Summary]]:
        """Write the summary of each backbone, and return them with their paths."""
        found = []
        for backbone in dict.fromkeys(trials.backbone for trials in self.methods):
            searching = [
                Searching(trials, self._of_seed(m, 0), repeated[m], winners[m])
                for m, trials in enumerate(self.methods)
                if trials.backbone == backbone
            ]
            folder = self._folder(searching[0].trials)
            path = summaries.path_of(folder, self.count)
            try:
                with FileLock(folder / f".{path.name}.lock"):
                    old = None
                    try:
                        old = summaries.read(path)
                    except SslbenchError as error:
                        _print(self.console, f"{error}: written again, without the methods of other commands", "yellow")
                    new = summary_of(searching, self.parts, self.on_test.results, old)
                    summaries.write(path, new)
                    write_text(path.with_suffix(".md"), to_markdown(new))
            except OSError as error:
                raise StorageError(f"cannot write {path}: {error.strerror or error}; choose --results") from error
            found.append((path, new))
        return found

    def _folder(self, trials: MethodTrials) -> Path:
        dataset, budget = self.parts[0].shipped.runs[0].identity.dataset, self.request.budget
        if self.parts[0].options.dataset.fold is not None:
            dataset = dataset.removesuffix("-fold-1")
        return summaries.folder_of(self.on_test.results, dataset, trials.backbone, budget)


def _searched(trials: MethodTrials) -> Searched:
    name = trials.method + (f"@{trials.plugin}" if trials.plugin else "")
    return Searched(name, trials.version, trials.axes, trials.points)


def _print(console: "Console", line: str, style: str = "") -> None:
    console.print(printable(line), style=style, markup=False, highlight=False, soft_wrap=True)
