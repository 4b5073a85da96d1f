import json
from pathlib import Path

import numpy as np
import pytest

from bench.maintenance import calibrate_best
from bench.maintenance.latent_answers import Components, draw_world, fit

REFERENCE = Path(__file__).resolve().parents[2] / "results" / "reference"
SEED = (0.0, 0.0, 0.02, 0.02, 0.05, 0.05, 0.2, 0.2)
ONE_DRAW = Components(0.9, SEED, image=0.5, own_image=0.2, rest=0.3)
SEVERAL = Components(0.7, SEED, 0.2, 0.1, seed_image=0.1, draw=0.02, draw_image=0.3, own_draw_image=0.1, rest=0.18)


@pytest.mark.parametrize(("model", "draws"), [(ONE_DRAW, 1), (SEVERAL, 20)])
def test_the_fit_finds_the_variances_that_a_world_was_drawn_with(model: Components, draws: int) -> None:
    rng = np.random.default_rng(0)
    rows = draw_world(model, [model.score] * len(SEED), seeds=8, draws=draws, images=2000, generator=rng)
    found = fit(rows)
    for term in ("image", "own_image", "seed_image", "draw", "draw_image", "own_draw_image", "rest"):
        assert getattr(found, term) == pytest.approx(getattr(model, term), abs=0.05), term
    assert np.mean(found.seed[:4]) < 0.03 < np.mean(found.seed[6:])
    assert found.score == pytest.approx(model.score, abs=0.05)


def test_the_expected_score_of_a_row_does_not_depend_on_its_seeds() -> None:
    rng = np.random.default_rng(1)
    model = Components(0.9, (0.0, 0.5), image=0.5, own_image=0.2, rest=0.3)
    rows = draw_world(model, [0.9, 0.9], seeds=3000, draws=1, images=100, generator=rng)
    assert [row.mean for row in rows] == pytest.approx([0.9, 0.9], abs=0.03)
    assert rows[0].mean == pytest.approx(rows[1].mean, abs=0.02)


def test_an_interrupted_calibration_on_the_committed_records_goes_on_with_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate_best, "SEEDS", (3,))
    monkeypatch.setattr(calibrate_best, "IMAGES", (60,))
    monkeypatch.setattr(calibrate_best, "COLUMNS", {"knn": (1,), "lowshot-1-frozen": (4,)})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for out, worlds in ((whole, 3), (parts, 1), (parts, 3)):
        out.mkdir(exist_ok=True)
        calibrate_best.main(worlds=worlds, results=REFERENCE, out=out)
    assert (whole / "best.json").read_text() == (parts / "best.json").read_text()
    entries = json.loads((whole / "best.json").read_text())["worlds"]
    assert [len(entry["figures"]["error"]) for entry in entries] == [3] * len(entries)
    assert "| knn | 1 | 3 | 60 | 12 | 3 | " in (whole / "best.md").read_text()
