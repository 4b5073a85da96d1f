"""Protocols with changed constants: values that make no sense are refused before anything runs."""

import pytest
from support.in_process import options_of, wanted_runs

from bench.errors import SslbenchError
from bench.planning.request import Request
from protocols.catalogue import DEFAULT, ENTRIES

REFUSED = [
    ("knn@k=0", "at least 1"),
    ("knn@k=-5", "at least 1"),
    ("knn@k=" + "9" * 30, "at most 1,000,000"),
    ("knn@k=²", "takes a value like 20"),
    ("knn@k={[]:1}", "takes a value like 20"),
    ("knn@k=" + "(" * 300, "takes a value like 20"),
    ("knn@k=1,k=2", "k is given twice"),
    ("knn@k=" + "1" * 1000, "at most 500 characters"),
    ("knn@temperature=0", "above 0"),
    ("knn@temperature=1e999", "finite"),
    ("linear-sgd@epochs=0", "at least 1"),
    ("linear-sgd@rate=0.0", "above 0"),
    ("rankme@images=0", "at least"),
    ("rankme@figure=alignment", "no constant 'figure' to change"),
    ("lowshot-1@training.head_rate=-0.1", "at least 0"),
    ("lowshot-1@training.optimizer=adamW", "sgd, adamw"),
    ("lowshot-1@start=middle", "zero, probe"),
    ("lowshot-1-mlp@start=probe", "start=probe needs a penalty"),
    ("pseudolabel-1@threshold=1.5", "at most 1"),
    ("lowshot-" + "9" * 600, "at most 500 characters"),
]


@pytest.mark.parametrize(("id", "message"), REFUSED, ids=[id[:40] for id, _ in REFUSED])
def test_a_constant_out_of_range_is_a_one_line_error(id, message, tmp_path):
    with pytest.raises(SslbenchError) as caught:
        wanted_runs(Request(["simclr"], protocols=[id]), options_of(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "id",
    [*ENTRIES, *DEFAULT, "scratch-1", "pseudolabel-1pct", "pseudolabel-100+200", "lowshot-5-conv", "knn@k=5",
     "knn@temperature=1", "lowshot-1@training.trunk_rate=0", "linear@tolerance=0.01"],
)  # fmt: skip
def test_a_sensible_constant_is_accepted(id, tmp_path):
    (wanted,) = wanted_runs(Request(["simclr"], protocols=[id]), options_of(tmp_path))
    assert list(wanted.protocols) == [id]
