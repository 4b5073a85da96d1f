"""A small results folder in the place of the committed one."""

import pytest

from bench.records.record import Cost, Identity, Measurement, Record
from bench.records.store import Store


@pytest.fixture
def only_the_catalogue(monkeypatch):
    """What other tests plugged into this process is not asked for."""
    monkeypatch.setattr(discover, "_plugins", {})
    monkeypatch.setattr(discover, "_functions", {})


@pytest.fixture(scope="session")
def recorded(tmp_path_factory):
    """A results folder with two records on digits."""
    results = tmp_path_factory.mktemp("recorded") / "results"
    for method, top1 in (("simclr", 0.9), ("byol", 0.8)):
        identity = Identity("digits", "f00d", "test", method, 1, "resnet9_slim", 1, 1, "standard", 60, 256, 0)
        protocols = {"knn": Measurement(1, {"top1": top1}, [{"top1": top1}], correct=["/w=="], images=8)}
        Store(results).write(
            Record(identity, "ok", protocols=protocols, cost=Cost(pretrain_s=1.0), curve={"step": [1], "loss": [2.0]})
        )
    return results
