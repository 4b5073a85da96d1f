"""Batches: each image at most once per epoch, an order that depends only on the seed, and reading ahead."""

import threading

import numpy as np
import pytest
import torch

from bench.training.batches import read_ahead, shuffled, steps_per_epoch

CPU = torch.device("cpu")


def test_each_image_occurs_at_most_once_per_epoch_and_the_order_differs_between_epochs() -> None:
    batches = list(shuffled(103, 10, 7, range(2 * steps_per_epoch(103, 10)), CPU))
    first, second = torch.cat(batches[:10]), torch.cat(batches[10:])
    assert len(first) == len(first.unique()) == 100
    assert len(second) == len(second.unique()) == 100
    assert not first.equal(second)


@pytest.mark.parametrize("start", [0, 1, 9, 10, 13])
def test_a_resumed_run_sees_the_same_batches(start: int) -> None:
    uninterrupted = list(shuffled(103, 10, 7, range(20), CPU))
    resumed = list(shuffled(103, 10, 7, range(start, 20), CPU))
    assert all(a.equal(b) for a, b in zip(uninterrupted[start:], resumed, strict=True))


def test_images_of_a_memory_mapped_file_are_read_in_order(tmp_path) -> None:
    stored = np.lib.format.open_memmap(tmp_path / "images.npy", "w+", np.uint8, (50, 3, 4, 4))
    stored[:] = np.random.default_rng(0).integers(0, 256, stored.shape)
    images = torch.from_numpy(stored)
    order = list(shuffled(50, 8, 0, range(12), CPU))
    read = list(read_ahead(images, iter(order), CPU))
    assert len(read) == len(order)
    for chosen, (indices, batch) in zip(order, read, strict=True):
        assert indices.equal(chosen)
        assert batch.equal(images[chosen])


def test_two_batches_are_read_ahead() -> None:
    requested = []

    def indices():
        for step in range(10):
            requested.append(step)
            yield torch.tensor([step])

    reading = read_ahead(torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), indices(), CPU)
    next(reading)
    assert requested == [0, 1, 2]
    reading.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("gather")]


def test_an_error_in_the_reading_thread_is_raised_in_the_loop() -> None:
    reading = read_ahead(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), iter([torch.tensor([9])]), CPU)
    with pytest.raises(IndexError):
        next(reading)
