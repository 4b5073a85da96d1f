"""Digits: the 1,797 hand-written digits of 8×8 pixels in scikit-learn."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from bench.data.raw import RawData


def read(name: str, folder: Path | None, size: int) -> RawData:
    """Return the digits, their grey values 0 to 16 scaled to 0 to 255, without a test part; no argument is used."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return RawData([str(number) for number in range(10)], pixels[:, None], digits.target.astype(np.int64))
