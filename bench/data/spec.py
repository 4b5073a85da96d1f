"""``DatasetSpec``: the name and the loading options of a data set."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from bench.data.dataset import Dataset


@dataclass(frozen=True)
class DatasetSpec:
    """A data set and how to load it; small and picklable, so that every worker process can load it.

    Attributes:
        name: Value of ``--dataset``.
        data_root: Folder with downloaded files, or None.
        image_size: Side of the images in pixels, for data sets that are resized; None for the default.
        flip: Whether a mirrored image keeps its class, for a user's own images; None for the default.
        task: ``test``, or ``val`` for the development task.
        fold: With ``val``: number of the fold of ``train`` that is measured on instead of ``val``, from 1; None for ``val`` itself.
    """

    name: str
    data_root: Path | None = None
    image_size: int | None = None
    flip: bool | None = None
    task: Literal["test", "val"] = "test"
    fold: int | None = None

    def load(self) -> "Dataset":
        """Load the data set; images that were decoded before come from the cache."""
        from bench.data import load

        return load(
            self.name,
            data_root=self.data_root,
            image_size=self.image_size,
            flip=self.flip,
            development=self.task == "val",
            fold=self.fold,
        )
