"""The journal of an array that is being decoded: what is already in the file, so that a killed process can be continued."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import IO

from bench.data.cache_limit import JOURNAL
from bench.data.decode import Facts
from bench.data.raw import Pixels


class Journal:
    """One line per block of images, written after its pixels: their checksum and the facts of each image.

    Args:
        target: The file of the array, open for reading and writing; the journal is next to it.
        start: Position of the first image in it.
        image_bytes: Bytes of an image.
    """

    def __init__(self, target: IO[bytes], start: int, image_bytes: int) -> None:
        self.path = Path(target.name).with_suffix(JOURNAL)
        self.target, self.start, self.image_bytes = target, start, image_bytes

    def resume(self) -> list[Facts]:
        """Return the facts of the images that are in the file, from the first one on, and go to the place of the next image.

        Lines and pixels that were not written completely are dropped.
        """
        facts: list[Facts] = []
        length = 0
        self.target.seek(self.start)
        for line, block in self._blocks():
            facts += block
            length += len(line)
        with self.path.open("ab") as file:
            file.truncate(length)
        self.target.seek(self.start + len(facts) * self.image_bytes)
        return facts

    def add(self, pixels: Pixels, facts: Sequence[Facts]) -> None:
        """Write a block of images and its line."""
        self.target.write(pixels.data)
        self.target.flush()
        line = json.dumps([zlib.crc32(pixels.data), *map(astuple, facts)])
        with self.path.open("a", encoding="ascii") as file:
            file.write(line + "\n")

    def _blocks(self) -> Iterator[tuple[bytes, list[Facts]]]:
        """Yield the lines whose pixels are in the file, up to the first that is damaged or whose pixels are others."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    checksum, *rows = json.loads(line)
                    facts = [Facts(*row) for row in rows]
                except (ValueError, TypeError):
                    return
                pixels = self.target.read(len(facts) * self.image_bytes)
                if not line.endswith(b"\n") or zlib.crc32(pixels) != checksum:
                    return
                yield line, facts
