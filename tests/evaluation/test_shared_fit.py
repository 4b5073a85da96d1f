"""Protocols on the head of ``linear`` share its fit within a run, and give the same numbers if it is fitted again."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.in_process import perform

from bench.evaluation.evaluate import Evaluation
from bench.leaderboard.build import build, current_versions
from bench.records.record import Measurement, Record
from bench.records.store import Store
from bench.reports import numbers
from bench.reports.page.opened_row import opened
from bench.reports.record import to_screen
from protocols.catalogue import CORRUPTION_STRENGTHS
from protocols.linear import Linear

ON_THE_HEAD = ("linear", "linear-calibration", "linear-corruptions")


@pytest.fixture(scope="module")
def fits() -> list[Linear]:
    return []


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, fits: list[Linear]) -> Record:
    """All protocols of the head and ``clusters`` in one run."""
    fit = Linear._fitted
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Linear, "_fitted", lambda self, task: (fits.append(self), fit(self, task))[1])
        return perform(Store(tmp_path_factory.mktemp("together")), "random_init", protocols=(*ON_THE_HEAD, "clusters"))


def numbers_of(measurement: Measurement) -> Measurement:
    return replace(measurement, seconds=0.0)


def test_one_run_fits_the_head_once(together: Record, fits: list[Linear]) -> None:
    assert [type(protocol) for protocol in fits] == [Linear]
    assert set(ON_THE_HEAD) < together.protocols.keys()


@pytest.mark.slow
def test_a_later_run_that_fits_again_gives_the_same_numbers(together: Record, tmp_path: Path) -> None:
    store = Store(tmp_path)
    alone = perform(store, "random_init", protocols=("linear",))
    later = perform(store, "random_init", protocols=("linear-corruptions", "linear-calibration", "clusters"))
    assert alone.protocols.keys() < later.protocols.keys() == together.protocols.keys()
    for name, measurement in together.protocols.items():
        assert numbers_of(later.protocols[name]) == numbers_of(measurement), name
    assert numbers_of(alone.protocols["linear"]) == numbers_of(together.protocols["linear"])


def test_changed_constants_of_the_fit_are_fitted_on_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fitted: list[float] = []
    fit = Linear._fitted
    monkeypatch.setattr(Linear, "_fitted", lambda self, task: (fitted.append(self.rise), fit(self, task))[1])
    protocols = ("linear", "linear-calibration@bins=5", "linear-calibration@rise=0.5")
    record = perform(Store(tmp_path), "pixels", protocols=protocols)
    assert fitted == [0.02, 0.5]
    assert len(record.protocols["linear-calibration@bins=5"].curves["bin_accuracy"]) == 5


def test_labels_are_opened_once_per_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    openings: list[int] = []
    measure = Evaluation.measure

    def counted(self: Evaluation, *names: object) -> Measurement:
        before = self.dataset.test_labels.openings
        found = measure(self, *names)  # type: ignore[arg-type]
        openings.append(self.dataset.test_labels.openings - before)
        return found

    monkeypatch.setattr(Evaluation, "measure", counted)
    perform(Store(tmp_path), "pixels", protocols=("linear-calibration", "linear-corruptions", "clusters"))
    assert openings == [1, 1, 1]


def test_corruptions_are_recorded_with_their_names_and_are_no_draws(together: Record) -> None:
    found = together.protocols["linear-corruptions"]
    names = [f"{name} {strength:g}" for name, strengths in CORRUPTION_STRENGTHS.items() for strength in strengths]
    assert found.variants == dict(zip(names, found.draws, strict=True))
    (table,) = build([together], current_versions(), all_protocols=True).tables
    (row,) = table.rows
    score = row.scores["linear-corruptions"]
    assert score.mean == pytest.approx(100 * sum(draw["top1"] for draw in found.draws) / 15)
    assert score.draw_std is None
    # An image is right to a share of the conditions: the interval is of the width of one over images.
    assert score.interval is not None
    assert 1 < score.interval[1] - score.interval[0] < 12
    assert row.answers["linear-corruptions"].by_draw.shape == (1, found.images)
    assert row.exact("linear-corruptions")[0] == pytest.approx(score.mean / 100)


def test_the_calibration_error_is_a_column_in_which_less_is_better(together: Record) -> None:
    (table,) = build([together], current_versions(), all_protocols=True).tables
    (column,) = [column for column in table.columns if column.id == "linear-calibration"]
    score = table.rows[0].scores["linear-calibration"]
    assert not column.percent
    assert column.higher_is_better is False
    assert 0 < score.mean == together.protocols["linear-calibration"].metrics["ece"] < 0.3
    assert score.metrics.keys() == {"overconfidence"}
    assert "linear-calibration (lower is better)" in " ".join(numbers.explanations(table))


def test_show_and_the_page_have_every_measure_and_every_corruption(together: Record, tmp_path: Path) -> None:
    console = Console(width=120, record=True)
    console.print(to_screen(together, 120))
    shown = " ".join(console.export_text().split())
    for expected in ("ece = 0.0", "overconfidence = ", "nmi = 0.", "ari = 0.", "noise 0.05: ", "shift 0.375: "):
        assert expected in shown
    (table,) = build([together], current_versions(), all_protocols=True).tables
    facts = opened(table.rows[0], table, [together], "x", (), tmp_path).facts["linear-corruptions: top-1 by condition"]
    found = together.protocols["linear-corruptions"].variants["blur 1"]["top1"]
    assert facts["blur 1"] == f"{100 * found:.2f}"
    assert len(facts) == 15
