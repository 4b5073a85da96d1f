"""Protocols with changed constants: values that make no sense are refused before anything runs."""

import pytest
from support.in_process import options_of, wanted_runs

from bench.errors import SslbenchError
from bench.planning.request import Request, protocol_of
from protocols.catalogue import DEFAULT, ENTRIES

REFUSED = [
    ("knn@k=0", "k=0 must be at least 1"),
    ("knn@k=-5", "must be at least 1"),
    ("knn@k=1000000000", "must be at most 1,000,000"),
    ("knn@k=" + "9" * 30, "must be at most"),
    ("knn@k=²", "takes a value like 20"),
    ("knn@k={[]:1}", "takes a value like 20"),
    ("knn@k=1,k=2", "k is given twice"),
    ("knn@k=" + "1" * 1000, "at most 500 characters"),
    ("knn@temperature=0", "must be above 0"),
    ("knn@temperature=1e999", "must be finite"),
    ("linear@tolerance=-1.0", "must be above 0"),
    ("linear-sgd@epochs=0", "must be at least 1"),
    ("linear-sgd@rate=0.0", "must be above 0"),
    ("rankme@images=0", "must be at least 1"),
    ("rankme@figure=alignment", "no constant 'figure' to change"),
    ("lowshot-1@training.steps=0", "must be at least 1"),
    ("lowshot-1@training.head_rate=-0.1", "must be at least 0"),
    ("lowshot-1@training.optimizer=adamW", "takes 'sgd' or 'adamw'"),
    ("lowshot-1@start=middle", "takes 'zero' or 'probe'"),
    ("lowshot-1-mlp@head=cnn", "takes 'linear' or 'mlp' or 'conv'"),
    ("pseudolabel-1@threshold=1.5", "must be at most 1"),
    ("lowshot-" + "9" * 600, "at most 500 characters"),
]


@pytest.mark.parametrize(("id", "message"), REFUSED, ids=[id[:40] for id, _ in REFUSED])
def test_a_constant_out_of_range_is_a_one_line_error(id, message):
    with pytest.raises(SslbenchError) as caught:
        protocol_of(id)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "id", [*ENTRIES, *DEFAULT, "scratch-1", "pseudolabel-1pct", "pseudolabel-100+200", "lowshot-5-conv"]
)
def test_the_constants_of_every_protocol_are_within_their_ranges(id):
    assert protocol_of(id).id == id


@pytest.mark.parametrize(
    "id", ["knn@k=5", "knn@temperature=1", "lowshot-1@training.trunk_rate=0", "linear@tolerance=0.01"]
)
def test_a_sensible_constant_is_accepted(id):
    assert protocol_of(id).id == id


def test_constants_that_do_not_fit_together_are_refused_before_the_run(tmp_path):
    request = Request(["simclr"], protocols=["lowshot-1-mlp@start=probe"])
    with pytest.raises(SslbenchError, match="start=probe needs a penalty"):
        wanted_runs(request, options_of(tmp_path))
