"""The further processes of a run on several devices: start them, watch them, and name the one that failed.

The run's own process is process 0 of the team. The others exist only during the training, write nothing, and end with process 0.
"""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from bench.errors import Diverged, SslbenchError, Stopped
from bench.execution.failures import cause_of
from bench.orphan import end_with_parent
from bench.training.team import Team

LONELY_SECONDS = 1.0
"""Time after which a process ends when process 0 has ended."""
HANG_SECONDS = 20.0
"""Time in which process 0 must notice that another process has died; then it ends as well, so that nothing waits for ever."""
END_SECONDS = 30.0
"""Time in which the processes must end after the training."""

Work = Callable[[torch.device, Callable[[], Team]], None]
"""Trains as one of the team: prepares on the given device, then calls the function to join the team, and trains."""


@dataclass(frozen=True)
class Failure:
    """What a process raised: when (monotonic clock), as one line, as a traceback, and whether the training diverged."""

    line: str
    trace: str
    diverged: bool
    time: float = field(default_factory=time.monotonic)


class _Peer:
    """One further process, and the pipe to it."""

    def __init__(self, work: Work, rank: int, size: int, meeting: Path, device: torch.device) -> None:
        self.rank = rank
        context = multiprocessing.get_context("forkserver")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_carry_out, args=(other, work, rank, size, meeting, device))
        self.process.start()
        other.close()
        self.failure: Failure | None = None

    def receive(self) -> bool:
        """Read a message or the end of the pipe, if there is one; return whether the process sent that it can join."""
        if not self.connection.poll(0):
            return False
        try:
            self.failure = self.connection.recv()
            return self.failure is None
        except (EOFError, OSError):
            self.process.join(LONELY_SECONDS)
            return False

    @property
    def lost(self) -> bool:
        """Whether the process has failed or died."""
        return self.failure is not None or not self.process.is_alive()

    def what_happened(self) -> str:
        """Return one line about a process that has failed or died."""
        if self.failure is not None:
            return f"device {self.rank}: {self.failure.line}"
        killed = "; out of memory?" if self.process.exitcode == -signal.SIGKILL else ""
        return f"the process of device {self.rank} died (exit code {self.process.exitcode}{killed})"

    def end(self, seconds: float) -> None:
        """Tell the process to end, wait for it, at most this long, then kill it."""
        self.connection.close()
        self.process.join(seconds)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def team_of(
    devices: Sequence[torch.device], work: Work, keep_going: Callable[[], bool], log: Callable[[str], None]
) -> Iterator[Team]:
    """Start one process for each device but the first, and yield the team, of which this process is the first.

    Args:
        devices: The devices; the first is this process's.
        work: What the other processes do; it is pickled.
        keep_going: Whether to go on while the processes start.
        log: Receives the traceback of another process.

    Raises:
        Diverged: The training diverged in another process.
        SslbenchError: Another process failed or died.
        Stopped: ``keep_going`` returned False while the processes started.
    """
    folder = Path(tempfile.mkdtemp(prefix="sslbench-"))
    meeting = folder / "meeting"
    peers = [_Peer(work, rank, len(devices), meeting, device) for rank, device in enumerate(devices) if rank]
    finished = threading.Event()
    team = None
    patience = 0.0
    try:
        _wait_until_ready(peers, keep_going, log)
        threading.Thread(target=_watch, args=(peers, finished, log), daemon=True).start()
        for peer in peers:
            peer.connection.send(None)
        team = Team(0, len(devices), meeting, devices[0])
        yield team
        patience = END_SECONDS
    except (SslbenchError, Diverged, Stopped):
        raise
    except BaseException as error:
        _raise_cause(peers, error, log)
        raise
    finally:
        if team is not None:
            team.close()
        finished.set()
        for peer in peers:
            peer.end(patience)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_until_ready(peers: Sequence[_Peer], keep_going: Callable[[], bool], log: Callable[[str], None]) -> None:
    """Wait until every process can join; the user can stop meanwhile."""
    waiting = list(peers)
    while waiting:
        wait([peer.connection for peer in waiting], timeout=0.2)
        waiting = [peer for peer in waiting if not peer.receive()]
        for peer in waiting:
            if peer.lost:
                raise _failed(peer, log)
        if waiting and not keep_going():
            raise Stopped("stopped before the training started")


def _watch(peers: Sequence[_Peer], finished: threading.Event, log: Callable[[str], None]) -> None:
    """End this process if another one has died and this one still waits for it, as NCCL would for ever."""
    # The other processes end only when they are told to: one that has ended has died.
    sentinels = [peer.process.sentinel for peer in peers]
    while not finished.is_set():
        if wait(sentinels, timeout=1.0) and not finished.wait(HANG_SECONDS):
            log(f"given up: {', '.join(peer.what_happened() for peer in peers if peer.lost)}")
            os._exit(1)


def _raise_cause(peers: Sequence[_Peer], error: BaseException, log: Callable[[str], None]) -> None:
    """Raise the failure of another process if it came before this process's ``error``, which is then only its consequence."""
    now, line = time.monotonic(), cause_of(error)
    for peer in peers:
        peer.connection.poll(LONELY_SECONDS)
        peer.receive()
    earlier = [p for p in peers if p.failure is not None and p.failure.time < now and p.failure.line != line]
    died = [p for p in peers if p.failure is None and not p.process.is_alive()]
    for peer in sorted(earlier, key=lambda p: p.failure.time if p.failure else now) or died:
        raise _failed(peer, log) from error


def _failed(peer: _Peer, log: Callable[[str], None]) -> Exception:
    """Return the exception for a process that has failed or died; its traceback is written to the log."""
    if peer.failure is None:
        return SslbenchError(peer.what_happened())
    log(f"device {peer.rank}\n{peer.failure.trace}")
    return Diverged(peer.failure.line) if peer.failure.diverged else SslbenchError(peer.what_happened())


def _carry_out(connection: Connection, work: Work, rank: int, size: int, meeting: Path, device: torch.device) -> None:
    """Train as one of the team; the main function of a further process."""
    # Only process 0 is asked to stop, and tells the others.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(LONELY_SECONDS)
    joined: list[Team] = []

    def join() -> Team:
        connection.send(None)
        connection.recv()
        joined.append(Team(rank, size, meeting, device))
        return joined[0]

    try:
        with suppress(Stopped):
            work(device, join)
        joined[0].close()
        with suppress(EOFError, OSError):
            connection.recv()  # process 0 closes the pipe when it needs this process no more
    except BaseException as error:  # what a plugin raises is a failure of the run
        with suppress(OSError):
            connection.send(Failure(cause_of(error), traceback.format_exc(), isinstance(error, Diverged)))
            # If process 0 has failed in the same way, its own error is reported; it ends this process.
            connection.poll(LONELY_SECONDS)
        os._exit(1)
