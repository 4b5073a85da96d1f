"""A training loop that waits after every step until the next one is asked for, so that single steps of any loop can be timed."""

import threading
from collections.abc import Callable


class _Enough(BaseException):
    """Ends the loop from inside; no handler of ``Exception`` takes it for a fault of the step."""


def step_by_step(loop: Callable[[Callable[[], None]], object], work: Callable[[Callable[[], None]], object]) -> None:
    """Run a loop, and in a thread beside it what times its steps.

    The loop stays in this thread, as in a run: torch keeps a pool of threads for every thread that computes, and two pools on the
    same cores cost a tenth of a step.

    Args:
        loop: Called with a function that it calls after every step.
        work: Called with a function that lets the loop do one step and returns when it is done; it raises RuntimeError where the loop
            has ended.
    """
    go, done = threading.Semaphore(0), threading.Semaphore(0)
    leaving = ended = False
    errors: list[BaseException] = []

    def after_step() -> None:
        done.release()
        go.acquire()
        if leaving:
            raise _Enough

    def advance() -> None:
        go.release()
        done.acquire()
        if ended:
            raise RuntimeError("the loop has ended")

    def timing() -> None:
        nonlocal leaving
        try:
            work(advance)
        except BaseException as error:
            errors.append(error)
        finally:
            leaving = True
            go.release()

    thread = threading.Thread(target=timing, daemon=True)
    thread.start()
    try:
        go.acquire()
        if not leaving:
            loop(after_step)
    except _Enough:
        pass
    finally:
        ended = True
        done.release()
        thread.join()
    if errors:
        raise errors[0]
