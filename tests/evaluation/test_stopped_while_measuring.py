"""A run that is stopped in the middle of a protocol ends at once, keeps what is measured, and goes on to the same record."""

import pytest
from support.in_process import context_of, options_of

from bench.errors import Stopped
from bench.execution.run import execute
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.records.record import Record
from bench.training.context import Progress, RunContext

FEW = "training.steps=4,training.passes=0"
PROTOCOLS = (
    "knn",
    "linear",
    "rankme",
    "alignment",
    "lowshot-25-frozen",
    f"lowshot-25@{FEW}",
    f"scratch-25@{FEW}",
    f"pseudolabel-25@{FEW}",
    "linear-sgd@epochs=1",
)


class Stop:
    """Stops at a number of questions after a protocol has begun, and counts the questions after it."""

    def __init__(self, protocol: str, after: int) -> None:
        self.protocol, self.after = protocol, after
        self.begun, self.asked, self.asked_again = False, 0, 0

    def on_progress(self, progress: Progress) -> None:
        self.begun = self.begun or progress.stage == self.protocol

    def keep_going(self) -> bool:
        if not self.begun:
            return True
        self.asked += 1
        self.asked_again += self.asked > self.after
        return self.asked < self.after


def carry_out(results, protocol: str, stop: Stop | None = None) -> Record:
    options = options_of(results)
    (run,) = plan_runs(Request(methods=["random_init"], protocols=("feature_std", protocol)), options).runs
    callbacks = {"keep_going": stop.keep_going, "on_progress": stop.on_progress} if stop else {}
    context: RunContext = context_of(options, **callbacks)
    record = execute(run, options.dataset.load(), context)
    assert record is not None
    return record


def answers(record: Record):
    return {name: (m.metrics, m.draws, m.correct, m.choices, m.curves) for name, m in record.protocols.items()}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stop_within_a_protocol_ends_the_run_and_loses_nothing(tmp_path, protocol):
    # The first question comes between two protocols, the next one from within this protocol.
    stop = Stop(protocol, after=2)
    with pytest.raises(Stopped, match="stopped while measuring"):
        carry_out(tmp_path / "stopped", protocol, stop)
    assert (stop.asked, stop.asked_again) == (2, 0)
    resumed = carry_out(tmp_path / "stopped", protocol)
    assert resumed.status == "ok"
    assert answers(resumed) == answers(carry_out(tmp_path / "straight", protocol))
