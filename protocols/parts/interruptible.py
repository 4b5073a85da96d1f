"""Long calls into a library that can be given up: they run in a thread of their own while the protocol asks whether to stop."""

import threading
from collections.abc import Callable
from typing import TypeVar

import faiss
import torch

SECONDS = 0.25
"""Time between two questions whether to stop."""
LARGE = 2**21
"""Numbers in the largest matrix from which a call may take long; smaller calls run in the calling thread."""

Result = TypeVar("Result")


def interruptible(call: Callable[[], Result], check_stop: Callable[[], None], numbers: int = LARGE) -> Result:
    """Return the result of a call, and ask four times per second whether to stop until it is there.

    A factorisation or a search of large matrices takes seconds to minutes in one call, which nothing can interrupt. If ``check_stop``
    raises, the thread is left behind and ends with the process. The result is the same as in the calling thread.

    Args:
        call: Uses only data that nothing changes in the meantime.
        check_stop: ``Task.check_stop``.
        numbers: Numbers in the largest matrix of the call.
    """
    check_stop()
    if numbers < LARGE:
        return call()
    results: list[Result] = []
    errors: list[BaseException] = []
    done = threading.Event()
    threads, search_threads, gradients = torch.get_num_threads(), faiss.omp_get_max_threads(), torch.is_grad_enabled()

    def work() -> None:
        try:
            # These settings belong to a thread; a new one would start with the library's defaults.
            torch.set_num_threads(threads)
            faiss.omp_set_num_threads(search_threads)
            with torch.set_grad_enabled(gradients):
                results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name="interruptible", daemon=True).start()
    while not done.wait(SECONDS):
        check_stop()
    if errors:
        raise errors[0]
    return results[0]
