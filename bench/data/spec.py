"""What names a data set: loaded by the planner and again by every run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.data.dataset import Dataset


@dataclass(frozen=True)
class DatasetSpec:
    """Names a data set and how to load it; small and picklable, so that every worker process loads it itself.

    Attributes:
        name: As the user wrote it.
        data_root: Where downloaded files lie, or None.
        image_size: Of a folder's images, or None for the default.
        flip: False where a mirrored image changes its class; None for the data set's own.
        task: ``test``, or ``val`` for the development task.
    """

    name: str
    data_root: Path | None = None
    image_size: int | None = None
    flip: bool | None = None
    task: Literal["test", "val"] = "test"

    def load(self) -> "Dataset":
        """Load the data set, from the cache where it is decoded already."""
        from bench.data import load

        return load(
            self.name,
            data_root=self.data_root,
            image_size=self.image_size,
            flip=self.flip,
            development=self.task == "val",
        )
