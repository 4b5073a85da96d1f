"""Schedule of the teacher's softmax temperature."""


def temperature_at(progress: float, start: float, end: float, warmup: float) -> float:
    """Return the temperature: a linear rise from ``start`` to ``end`` until ``warmup`` [DINO, appendix D]."""
    return end if progress >= warmup else start + (end - start) * progress / warmup
