"""End a process soon after the process that started it has died."""

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import wait

GRACE_SECONDS = 5.0
"""Time in which an orphaned run may stop by itself: it sees that the pipe is closed at its next step, and writes a checkpoint."""


def end_with_parent(grace: float = GRACE_SECONDS) -> None:
    """Start a thread that ends this process ``grace`` seconds after the process that started it has ended.

    It works at any time, also while a long computation asks nobody whether to stop.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel, grace), daemon=True).start()


def _end_after(sentinel: int, grace: float) -> None:
    wait([sentinel])
    time.sleep(grace)
    os._exit(1)
