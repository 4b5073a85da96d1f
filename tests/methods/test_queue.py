"""The queue holds the last keys, survives a resume, and provides the negatives of lightly's loss."""

import torch
from torch.nn.functional import normalize

from methods.parts.queue import Queue, QueueLoss, queue_length
from methods.traits import Traits


def keys_of(start: int, count: int) -> torch.Tensor:
    return normalize(torch.randn(count, 4, generator=torch.Generator().manual_seed(start)), dim=1)


def rows(entries: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(round(x, 4) for x in row) for row in entries.tolist()}


def test_the_queue_holds_the_last_keys_as_unit_vectors() -> None:
    torch.manual_seed(0)
    queue = Queue(10, 4)
    all_keys = torch.cat([keys_of(start, 4) for start in range(7)])
    for start in range(7):
        queue.put(3.0 * keys_of(start, 4))
        queue.update()
    assert rows(queue.keys) == rows(all_keys[-10:])


def test_of_a_batch_longer_than_the_queue_the_last_keys_are_kept() -> None:
    torch.manual_seed(0)
    queue = Queue(3, 4)
    queue.put(keys_of(0, 8))
    queue.update()
    assert rows(queue.keys) == rows(keys_of(0, 8)[-3:])


def test_new_keys_enter_only_in_update_after_the_backward_pass() -> None:
    torch.manual_seed(0)
    loss = QueueLoss(0.2, 10, 4)
    before = loss.memory_bank.keys.clone()
    queries = torch.randn(4, 4, requires_grad=True)
    value = loss(queries, keys_of(0, 4))
    loss.memory_bank.put(keys_of(0, 4))
    assert torch.equal(loss.memory_bank.keys, before)
    value.backward()
    loss.memory_bank.update()
    assert rows(keys_of(0, 4)) < rows(loss.memory_bank.keys)
    updated = loss.memory_bank.keys.clone()
    loss.memory_bank.update()
    assert torch.equal(loss.memory_bank.keys, updated)


def test_state_dict_contains_entries_and_position() -> None:
    torch.manual_seed(0)
    queue, resumed = Queue(10, 4), Queue(10, 4)
    queue.put(keys_of(0, 7))
    queue.update()
    resumed.load_state_dict(queue.state_dict())
    for continued in (queue, resumed):
        continued.put(keys_of(1, 7))
        continued.update()
    assert torch.equal(queue.keys, resumed.keys)
    assert rows(queue.keys) == rows(torch.cat([keys_of(0, 7)[-3:], keys_of(1, 7)]))


def test_the_loss_is_the_cross_entropy_of_one_positive_against_all_entries() -> None:
    torch.manual_seed(0)
    loss = QueueLoss(0.2, 10, 4)
    queries, keys = torch.randn(3, 4), torch.randn(3, 4)
    by_hand = 0.0
    for query, key in zip(normalize(queries, dim=1), normalize(keys, dim=1), strict=True):
        positive = torch.exp(query @ key / 0.2)
        negatives = sum(torch.exp(query @ entry / 0.2) for entry in loss.memory_bank.keys)
        by_hand -= torch.log(positive / (positive + negatives)) / 3
    torch.testing.assert_close(loss(queries, keys), by_hand)


def test_the_nearest_entry_has_the_smallest_angle() -> None:
    torch.manual_seed(0)
    queue = Queue(10, 4)
    queries = 5.0 * torch.randn(6, 4)
    for query, found in zip(queries, queue.nearest(queries), strict=True):
        best = min(queue.keys, key=lambda entry: torch.arccos(entry @ query / query.norm()).item())
        assert torch.equal(found, best)


def test_the_queue_is_at_most_a_quarter_of_the_training_images() -> None:
    assert queue_length(65536, Traits(1, 8, 10, (0.3,), (0.37,), False, 1438, 1438)) == 359
    assert queue_length(4096, Traits(3, 96, 10, (0.3,) * 3, (0.37,) * 3, True, 105_000, 5_000)) == 4096
    assert queue_length(4096, Traits(3, 96, 10, (0.3,) * 3, (0.37,) * 3, True, 240, 40)) == 60
    assert queue_length(4096, Traits(3, 32, 10, (0.3,) * 3, (0.37,) * 3, True, 45_000, 45_000)) == 4096
