"""A short run of BYOL that is observed during training, for the tests of ``--watch`` and of snapshots."""

from typing import Any

import pytest
import torch
from support.in_process import perform

from bench.records.record import Record
from bench.records.store import Store

CPU = torch.device("cpu")
STEPS = 5
"""Steps per epoch."""


def byol(budget: str) -> dict[str, Any]:
    """The request: BYOL has batch norm in two networks, one of them a teacher, so features in train mode would change its state."""
    return {"method": "byol", "budget": budget, "protocols": ("knn", "lowshot-1-frozen")}


def watched_run(folders: pytest.TempPathFactory, request: dict[str, Any], **options: Any) -> tuple[Store, Record]:
    """Carry out the run with options of observation; return its results folder and its record."""
    store = Store(folders.mktemp("watched"))
    return store, perform(store, **request, **options)
