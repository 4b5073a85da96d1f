import base64
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from bench.leaderboard.significance import Answers, difference, holm, interval, unpack


def answers(right: np.ndarray, label_sets: str | None = None) -> Answers:
    """Answers from bits [seeds, draws, images]."""
    return Answers(right.mean(0), right.mean(1), label_sets, int(right.sum()), right.size)


def world(
    rng: np.random.Generator, methods: int, seeds: int, draws: int, images: int, lead: float = 0.0
) -> list[Answers]:
    """Simulate methods of equal ability, except that the first leads by ``lead`` logits, with every random effect of the model."""
    several = float(draws > 1)
    shared = rng.normal(0, 1.5, images) + several * (
        rng.normal(0, 0.3, (draws, 1)) + rng.normal(0, 1.0, (draws, images))
    )
    rows = []
    for method in range(methods):
        own = rng.normal(0, 0.7, images) + several * rng.normal(0, 0.15, (draws, 1))
        noise = float(seeds > 1)
        seed = noise * (rng.normal(0, 0.2, (seeds, 1, 1)) + rng.normal(0, 0.5, (seeds, 1, images)))
        seed = seed + noise * several * rng.normal(0, 0.1, (seeds, draws, 1))
        z = 1.0 + lead * (method == 0) + shared + own + seed
        rows.append(answers(rng.random(z.shape) < 1 / (1 + np.exp(-z))))
    return rows


SHAPES = [(1, 1, 400), (1, 10, 300), (3, 1, 400), (3, 3, 300), (2, 5, 300)]


@pytest.mark.parametrize(("seeds", "draws", "images"), SHAPES)
def test_equal_methods_differ_in_no_more_than_five_percent_of_worlds(seeds: int, draws: int, images: int) -> None:
    rng = np.random.default_rng(1)
    worlds = 300
    false = sum(difference(*world(rng, 2, seeds, draws, images)).p < 0.05 for _ in range(worlds))
    assert false / worlds < 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / worlds)


@pytest.mark.parametrize(("seeds", "draws", "images"), SHAPES[:4])
def test_a_much_better_method_is_found(seeds: int, draws: int, images: int) -> None:
    rng = np.random.default_rng(3)
    found = [difference(*world(rng, 2, seeds, draws, images, lead=2.0)) for _ in range(60)]
    assert np.mean([d.value > 0 and d.p < 0.05 for d in found]) > 0.8


@pytest.mark.parametrize(("seeds", "draws", "images"), SHAPES)
def test_the_standard_error_is_no_smaller_than_the_true_spread_of_differences(
    seeds: int, draws: int, images: int
) -> None:
    rng = np.random.default_rng(4)
    found = [difference(*world(rng, 2, seeds, draws, images)) for _ in range(300)]
    true = np.std([d.value for d in found])
    claimed = np.sqrt(np.mean([d.error**2 for d in found]))
    assert 0.95 * true < claimed < 1.5 * true


@pytest.mark.parametrize(("seeds", "draws", "p"), [(1, 1, 0.7), (1, 1, 0.98), (1, 10, 0.7), (3, 3, 0.7)])
def test_the_interval_holds_the_true_score_in_about_95_percent_of_worlds(seeds: int, draws: int, p: float) -> None:
    rng = np.random.default_rng(5)
    images, worlds = 300, 300
    logit = np.log(p / (1 - p))

    def rates(images: int, draws: int, seeds: int) -> np.ndarray:
        z = logit + rng.normal(0, 1, images) + (rng.normal(0, 0.3, (draws, 1)) if draws > 1 else 0)
        z = z + (rng.normal(0, 0.2, (seeds, 1, 1)) if seeds > 1 else np.zeros((1, 1, 1)))
        return 1 / (1 + np.exp(-z))

    true = np.mean([rates(2000, max(draws, 2) if draws > 1 else 1, seeds).mean() for _ in range(200)])
    held = 0
    for _ in range(worlds):
        z = rates(images, draws, seeds)
        low, high = interval(answers(rng.random(z.shape) < z))
        held += low <= true <= high
    assert held / worlds >= 0.92


def test_pairing_images_finds_a_difference_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(6)
    first = rng.random(1000) < 0.8
    second = first & (np.arange(1000) % 50 != 0)
    a, b = answers(first[None, None]), answers(second[None, None])
    assert difference(a, b).p < 0.01
    assert interval(b)[1] > interval(a)[0]


def test_identical_answers_do_not_differ_for_any_number_of_images() -> None:
    for shape in [(1, 1, 1), (1, 1, 50), (3, 1, 50), (1, 4, 50), (3, 4, 50)]:
        right = np.random.default_rng(7).random(shape) < 0.5
        found = difference(answers(right), answers(right))
        assert found.value == 0 and found.p == 1


def test_perfect_scores_are_not_certain() -> None:
    perfect = answers(np.ones((1, 1, 360)))
    low, high = interval(perfect)
    assert high == 1 and 0.985 < low < 0.995
    nearly = np.ones((1, 1, 360))
    nearly[0, 0, 0] = 0
    assert difference(perfect, answers(nearly)).p > 0.05


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1), (3, 1, 1), (3, 3, 1), (1, 1, 2), (2, 2, 2)])
def test_one_or_two_images_decide_nothing(shape: tuple[int, int, int]) -> None:
    assert difference(answers(np.ones(shape)), answers(np.zeros(shape))).p > 0.05
    low, high = interval(answers(np.ones(shape)))
    assert 0 <= low < 0.5 and high == 1


def test_all_right_and_all_wrong_on_many_images_differ() -> None:
    assert difference(answers(np.zeros((1, 1, 100))), answers(np.ones((1, 1, 100)))).p < 1e-6


def test_a_deterministic_method_with_one_seed_is_not_assumed_to_vary_like_the_other() -> None:
    rng = np.random.default_rng(10)
    base = rng.random((1, 1, 2000))
    one, three = answers(base < 0.80), answers(np.concatenate([base < 0.80, base < 0.85, base < 0.90]))
    fixed = replace(one, deterministic=True)
    copies = replace(answers(np.concatenate([base < 0.80] * 3)), deterministic=True)
    assert difference(fixed, three).error < difference(one, three).error
    assert difference(fixed, three).error == pytest.approx(difference(copies, three).error)


def test_a_method_with_one_seed_is_assumed_to_vary_like_the_one_with_several() -> None:
    rng = np.random.default_rng(8)
    base = rng.random((1, 1, 2000))
    spread = np.concatenate([base < 0.80, base < 0.85, base < 0.90])
    one, three = answers(base < 0.80), answers(spread)
    assert difference(one, three).error > difference(three, three).error
    assert difference(one, three).p > 0.05


def test_answers_with_different_label_sets_cannot_be_paired() -> None:
    with pytest.raises(ValueError, match="paired"):
        difference(answers(np.ones((1, 2, 9)), "a"), answers(np.ones((1, 2, 9)), "b"))
    with pytest.raises(ValueError, match="paired"):
        difference(answers(np.ones((1, 2, 9))), answers(np.ones((1, 3, 9))))


def test_holm_reproduces_a_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_stored_bits_unpack_to_seeds_draws_and_images() -> None:
    bits = np.random.default_rng(9).random((2, 3, 13)) < 0.5
    packed = [[base64.b64encode(np.packbits(draw).tobytes()).decode() for draw in seed] for seed in bits]
    found = unpack(packed, 13)
    assert found is not None
    np.testing.assert_allclose(found.by_draw, bits.mean(0))
    np.testing.assert_allclose(found.by_seed, bits.mean(1))
    assert unpack([packed[0], packed[1][:2]], 13) is None
    assert unpack(packed, 200) is None
    assert unpack([[]], 13) is None
    assert unpack([], 13) is None


def test_knn_on_digits_differs_for_an_absurd_k_and_not_for_similar_ones() -> None:
    images, labels = load_digits(return_X_y=True)
    train, test = slice(0, 1200), slice(1200, None)
    rows = []
    for k in (3, 4, 5, 900):
        model = KNeighborsClassifier(k).fit(images[train], labels[train])
        rows.append(answers((model.predict(images[test]) == labels[test])[None, None]))
    assert [difference(rows[0], row).p < 0.05 for row in rows[1:]] == [False, False, True]
