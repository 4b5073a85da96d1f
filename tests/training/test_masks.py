"""Masks of batches: those drawn ahead by a second process are those that the training process draws."""

import multiprocessing

import pytest
import torch
from torch.utils._pytree import tree_flatten

from bench.errors import SslbenchError
from bench.registry.methods import load_method
from bench.training.masks import drawn, drawn_ahead
from bench.training.trial import Trial, random_images
from methods.base import Method

BATCH, STEPS = 8, range(3, 8)


def method_named(name: str) -> Method:
    return Trial(load_method(name), "vit_nano", random_images(batch=BATCH)).method()


@pytest.mark.parametrize("name", ["ibot", "ijepa"])
def test_masks_drawn_ahead_equal_those_of_the_training_process(name: str) -> None:
    method = method_named(name)
    here, ahead = list(drawn(method, BATCH, 5, STEPS, torch.device("cpu"))), list(drawn_ahead(method, BATCH, 5, STEPS))
    assert len(here) == len(ahead) == len(STEPS)
    assert type(here[0]) is type(ahead[0])
    for one, other in zip(here, ahead, strict=True):
        for first, second in zip(tree_flatten(one)[0], tree_flatten(other)[0], strict=True):
            assert torch.equal(first, second)
    assert not multiprocessing.active_children()


def test_a_dead_process_is_one_clear_error_and_leaves_nothing() -> None:
    masks = drawn_ahead(method_named("mae"), BATCH, 0, range(1000))
    next(masks)
    for process in multiprocessing.active_children():
        process.kill()
    with pytest.raises(SslbenchError, match="the process that draws masks died"):
        list(masks)
    assert not multiprocessing.active_children()


def test_a_training_that_stops_early_ends_the_process() -> None:
    masks = drawn_ahead(method_named("mae"), BATCH, 0, range(1000))
    next(masks)
    del masks
    assert not multiprocessing.active_children()


def test_a_method_without_masks_has_none() -> None:
    assert list(drawn(method_named("simclr"), BATCH, 0, STEPS, torch.device("cpu"))) == [None] * len(STEPS)
