"""Runs any training loop one step at a time, so that single steps can be timed."""

import threading
from collections.abc import Callable


class _StopLoop(BaseException):
    """Ends the loop from inside a step; derived from ``BaseException``, so that no ``except Exception`` catches it."""


def step_by_step(loop: Callable[[Callable[[], None]], object], work: Callable[[Callable[[], None]], object]) -> None:
    """Run a loop in this thread, and in a second thread the function that times its steps.

    The loop runs in the calling thread, as in a run: torch keeps a pool of threads per computing thread, and a second pool on the
    same cores would cost a tenth of a step.

    Args:
        loop: The training loop; it takes a function and calls it after every step.
        work: The timing function; it takes a function that runs one step and returns when the step is done. That function raises
            RuntimeError if the loop has ended.
    """
    proceed, done = threading.Semaphore(0), threading.Semaphore(0)
    stopping = ended = False
    errors: list[BaseException] = []

    def after_step() -> None:
        done.release()
        proceed.acquire()
        if stopping:
            raise _StopLoop

    def advance() -> None:
        proceed.release()
        done.acquire()
        if ended:
            raise RuntimeError("the loop has ended")

    def timing() -> None:
        nonlocal stopping
        try:
            work(advance)
        except BaseException as error:
            errors.append(error)
        finally:
            stopping = True
            proceed.release()

    thread = threading.Thread(target=timing, daemon=True)
    thread.start()
    try:
        proceed.acquire()
        if not stopping:
            loop(after_step)
    except _StopLoop:
        pass
    finally:
        ended = True
        done.release()
        thread.join()
    if errors:
        raise errors[0]
