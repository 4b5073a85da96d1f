"""A training loop that waits after every step until the next one is asked for, so that single steps of any loop can be timed."""

import threading
from collections.abc import Callable
from types import TracebackType


class _Enough(BaseException):
    """Ends the loop from inside; no handler of ``Exception`` takes it for a fault of the step."""


class Stepping:
    """Runs a loop in a thread; ``advance`` lets it do one step.

    Args:
        loop: Called with a function that it calls after every step.
    """

    def __init__(self, loop: Callable[[Callable[[], None]], object]) -> None:
        self._loop = loop
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._leaving = self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Stepping":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        self._go.release()
        self._thread.join()

    def advance(self) -> None:
        """Do one step.

        Raises:
            RuntimeError: The loop has ended.
        """
        self._go.release()
        self._done.acquire()
        if self._ended:
            raise RuntimeError("the loop has ended") from self._error

    def _run(self) -> None:
        try:
            self._go.acquire()
            if not self._leaving:
                self._loop(self._after_step)
        except _Enough:
            pass
        except BaseException as error:
            self._error = error
        finally:
            self._ended = True
            self._done.release()

    def _after_step(self) -> None:
        self._done.release()
        self._go.acquire()
        if self._leaving:
            raise _Enough
