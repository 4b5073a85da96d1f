"""The number of labels in a protocol's id (``1``, ``64``, ``1pct``) and the number of draws; imports no torch."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

FORM = re.compile(r"(?P<number>[1-9][0-9]*|[0-9]+\.[0-9]*[1-9])(?P<percent>pct)?")


@dataclass(frozen=True)
class Labels:
    """A number of labels.

    Attributes:
        amount: Images per class, or percent of ``train``; exact.
        unit: The unit of ``amount``.
    """

    amount: Decimal
    unit: Literal["a class", "percent"]

    @property
    def text(self) -> str:
        """The form in ids and ``Task.label_set``: ``64`` or ``1pct``."""
        return f"{self.amount:f}" + ("pct" if self.unit == "percent" else "")

    @property
    def title(self) -> str:
        """The form in titles: ``64 labels per class`` or ``1 % of the labels``."""
        if self.unit == "percent":
            return f"{self.amount:f} % of the labels"
        return f"{self.amount:,f} label{'s' if self.amount > 1 else ''} per class"

    @property
    def draws(self) -> int:
        """Number of label sets: more for fewer labels, because small label sets differ more.

        Ten below 5 labels per class or 1 %, five below 25 per class or 10 %, otherwise three.
        """
        few, many = (1, 10) if self.unit == "percent" else (5, 25)
        return 10 if self.amount < few else 5 if self.amount < many else 3


def parse_labels(text: str) -> Labels:
    """Read a number of labels: ``K`` (images per class) or ``Ppct`` (percent of ``train``, at most 100).

    Raises:
        ValueError: The text has neither form.
    """
    match = FORM.fullmatch(text)
    if (
        match is None
        or (match["percent"] is None and "." in text)
        or (match["percent"] and Decimal(match["number"]) > 100)
    ):
        raise ValueError(
            f"labels '{text}': write a whole number of images per class (1, 64) or a percentage (1pct, 10pct)"
        )
    return Labels(Decimal(match["number"]), "percent" if match["percent"] else "a class")
