"""Compare two results folders: how far the scores of each row are apart, and which rows differ by more than noise."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bench.leaderboard.build import CurrentVersions, columns_of, newest
from bench.leaderboard.rows import build_row
from bench.leaderboard.significance import LEVEL, difference, holm
from bench.leaderboard.tables import Column, Row, row_name
from bench.records.record import Record


@dataclass(frozen=True)
class Pair:
    """One score in both folders.

    Attributes:
        column: The column of the score.
        first: The score in the first folder: percent for an accuracy, otherwise the value itself; None if missing.
        second: The score in the second folder.
        p: p-value of no difference, corrected for all compared scores; None if the two cannot be tested against each other.
        difference: The first minus the second, in percentage points; None if they cannot be tested.
        interval: 95 % interval of this difference alone, in percentage points.
    """

    column: Column
    first: float | None
    second: float | None
    p: float | None = None
    difference: float | None = None
    interval: tuple[float, float] | None = None

    @property
    def differs(self) -> bool:
        """Whether the two differ by more than noise."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class PairedRow:
    """One row in both folders.

    Attributes:
        table: Data set, backbone and budget, and whether it is the development task.
        label: The method with its changed settings.
        statuses: Its status in each folder.
        pairs: Its scores by column id.
        notes: Why scores cannot be compared, and which versions differ.
    """

    table: str
    label: str
    statuses: tuple[str, str]
    pairs: dict[str, Pair]
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool | None:
        """Whether any score differs by more than noise, or the statuses differ; None if nothing can be tested."""
        if self.statuses[0] != self.statuses[1] or any(pair.differs for pair in self.pairs.values()):
            return True
        tested = any(pair.p is not None for pair in self.pairs.values())
        return False if tested or self.statuses[0] != "ok" else None


@dataclass(frozen=True)
class Comparison:
    """The rows that two results folders share, and the rows (table and label) that only one of them has."""

    rows: tuple[PairedRow, ...]
    only_first: tuple["Key", ...]
    only_second: tuple["Key", ...]

    @property
    def summary(self) -> str:
        """For example ``reproduced within noise: 7 of 8 (not: byol)``, over the shared rows."""
        if not self.rows:
            return "nothing in common: no row of one folder is in the other, so nothing was compared"
        good = sum(row.differs is False for row in self.rows)
        bad = [row.label for row in self.rows if row.differs is not False]
        return f"reproduced within noise: {good} of {len(self.rows)}" + (f" (not: {', '.join(bad)})" if bad else "")


def compare(first: Iterable[Record], second: Iterable[Record], current: CurrentVersions) -> Comparison:
    """Compare all rows that two sets of records share, each score by its stored answers.

    The folders may differ in numbers of seeds, machines and versions of methods; per row and folder, only the seeds of the highest
    version count. A score of another protocol version, other data or other label sets is shown but not tested. Holm's correction
    counts every tested score, so that of all comparisons of equal code at most one in twenty shows any difference.
    """
    records = list(first), list(second)
    several = _of_several_contents(records[0]) | _of_several_contents(records[1])
    sides = tuple(_grouped(side, several) for side in records)
    shared = [key for key in sides[0] if key in sides[1]]
    rows = [_paired(key, sides[0][key], sides[1][key], current) for key in shared]
    return Comparison(
        rows=tuple(_corrected(rows)),
        only_first=tuple(key for key in sides[0] if key not in sides[1]),
        only_second=tuple(key for key in sides[1] if key not in sides[0]),
    )


Key = tuple[str, str]
"""The title of a table, and the label of a row in it."""


def _key(record: Record, content: bool) -> Key:
    identity = record.identity
    table = f"{identity.dataset}, {identity.backbone}, {identity.budget}"
    table += ", development task" if identity.task == "val" else ""
    return table, row_name(identity.method, identity.settings, identity.plugin if content else None)


def _of_several_contents(records: Iterable[Record]) -> set[Key]:
    """Return the rows of a folder whose seeds are of several contents of a plugin; each content is a row then."""
    contents: dict[Key, set[str | None]] = {}
    for record in records:
        contents.setdefault(_key(record, False), set()).add(record.identity.plugin)
    return {key for key, found in contents.items() if len(found) > 1}


def _grouped(records: Iterable[Record], several: Collection[Key]) -> dict[Key, list[Record]]:
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(_key(record, _key(record, False) in several), []).append(record)
    return {key: sorted(groups[key], key=lambda r: r.identity.seed) for key in sorted(groups)}


def _paired(key: Key, first: Sequence[Record], second: Sequence[Record], current: CurrentVersions) -> PairedRow:
    (first, older), (second, other_older) = newest(first), newest(second)
    columns = [c for c in columns_of([*first, *second], current, all_protocols=True) if not c.same_as]
    sides = (build_row(first, columns), build_row(second, columns))
    data = _values(first, "fingerprint"), _values(second, "fingerprint")
    notes = [] if data[0] == data[1] else ["different data: not compared"]
    if older or other_older:
        notes.append(f"seeds of older versions left out: {len(older)} | {len(other_older)}")
    for name in ("method_version", "backbone_version", "harness_version", "plugin"):
        versions = _values(first, name), _values(second, name)
        if versions[0] != versions[1]:
            notes.append(f"{name.replace('_', ' ')} {' and '.join(versions[0])} | {' and '.join(versions[1])}")
    pairs = {}
    for column in columns:
        same_version = _protocol_versions(first, column) == _protocol_versions(second, column)
        pair, note = _pair(column, sides, data[0] == data[1] and same_version)
        if note:
            notes.append(note)
        if pair.first is not None or pair.second is not None:
            pairs[column.id] = pair
    return PairedRow(*key, (sides[0].status, sides[1].status), pairs, tuple(notes))


def _values(records: Sequence[Record], name: str) -> list[str]:
    return sorted({str(getattr(record.identity, name)) for record in records})


def _protocol_versions(records: Sequence[Record], column: Column) -> set[int]:
    return {found.version for record in records if (found := column.of(record)) is not None}


def _pair(column: Column, sides: tuple[Row, Row], comparable: bool) -> tuple[Pair, str | None]:
    found = [side.scores.get(column.id) for side in sides]
    pair = Pair(column, *(score.mean if score else None for score in found))
    answers = [side.answers.get(column.id) for side in sides]
    if answers[0] is None or answers[1] is None:
        return pair, None
    if not comparable:
        return pair, f"{column.id}: different versions or data, not tested"
    if not answers[0].paired(answers[1]):
        return pair, f"{column.id}: different label sets, not tested"
    found = difference(answers[0], answers[1])
    low, high = found.interval
    return replace(pair, p=found.p, difference=100 * found.value, interval=(100 * low, 100 * high)), None


def _corrected(rows: Sequence[PairedRow]) -> Iterator[PairedRow]:
    """Yield the rows with p-values corrected for all tests."""
    tested = [(i, name) for i, row in enumerate(rows) for name, pair in row.pairs.items() if pair.p is not None]
    raw = [p for i, name in tested if (p := rows[i].pairs[name].p) is not None]
    corrected = dict(zip(tested, holm(raw), strict=True))
    for i, row in enumerate(rows):
        pairs = {name: replace(pair, p=corrected.get((i, name))) for name, pair in row.pairs.items()}
        yield replace(row, pairs=pairs)
