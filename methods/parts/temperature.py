"""The temperature of a teacher's softmax over the training."""


def temperature_at(progress: float, start: float, end: float, warmup: float) -> float:
    """Return the linear rise from ``start`` to ``end`` over the first ``warmup`` of the training [DINO, appendix D]."""
    return end if progress >= warmup else start + (end - start) * progress / warmup
