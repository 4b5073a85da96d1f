"""How many labels a protocol gets, as its id says it (``1``, ``64``, ``1pct``), and how often it draws them; imports no torch."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

FORM = re.compile(r"(?P<number>[1-9][0-9]*|[0-9]+\.[0-9]*[1-9])(?P<percent>pct)?")


@dataclass(frozen=True)
class Labels:
    """An amount of labels.

    Attributes:
        amount: Images a class, or percent of ``train``; exact.
        unit: Which of the two.
    """

    amount: Decimal
    unit: Literal["a class", "percent"]

    @property
    def text(self) -> str:
        """The form that ids and ``Task.label_set`` use: ``64`` or ``1pct``."""
        return f"{self.amount:f}" + ("pct" if self.unit == "percent" else "")

    @property
    def title(self) -> str:
        """The form that a reader sees: ``64 labels a class`` or ``1 % of the labels``."""
        if self.unit == "percent":
            return f"{self.amount:f} % of the labels"
        return f"{self.amount:,f} label{'s' if self.amount > 1 else ''} a class"

    @property
    def draws(self) -> int:
        """How many label sets are drawn: the fewer labels, the more they differ.

        Ten below 5 a class or 1 %, five below 25 a class or 10 %, else three.
        """
        few, many = (1, 10) if self.unit == "percent" else (5, 25)
        return 10 if self.amount < few else 5 if self.amount < many else 3


def parse_labels(text: str) -> Labels:
    """Read an amount of labels: ``K`` (images a class) or ``Ppct`` (percent of ``train``, at most 100).

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
            f"labels '{text}': write a whole number of images a class (1, 64) or a percentage (1pct, 10pct)"
        )
    return Labels(Decimal(match["number"]), "percent" if match["percent"] else "a class")
