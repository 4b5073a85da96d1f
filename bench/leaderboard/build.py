"""Records to tables: which tables and columns there are, and what left them; pure."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Interface

from bench import HARNESS_VERSION
from bench.filenames import method_folder
from bench.leaderboard.ranking import order, ranked, tied
from bench.leaderboard.rows import row
from bench.leaderboard.tables import Column, Leaderboard, Row, Stale, Table
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record


class EntryLike(Interface):
    """What the leaderboard asks of a protocol's entry in the catalogue."""

    @property
    def version(self) -> int:
        """Of the protocol's constants."""

    @property
    def label_free(self) -> bool:
        """Whether it is a figure that needs no labels."""

    @property
    def higher_is_better(self) -> bool | None:
        """None for a figure without direction."""


@dataclass(frozen=True)
class Current:
    """What is current: records of other versions are stale.

    Attributes:
        default: Ids of the default set, in the order of the columns.
        resolve: Protocol id to its entry; raises ValueError for an unknown one.
        harness: Version of the harness.
        methods: Version of each method, or None where methods are not loaded.
        backbones: Version of each backbone of the catalogue; encoders from elsewhere are not in it.
    """

    default: tuple[str, ...]
    resolve: Callable[[str], EntryLike]
    harness: int = HARNESS_VERSION
    methods: Mapping[str, int] | None = None
    backbones: Mapping[str, int] | None = None


def catalogue() -> Current:
    """Return what the harness and the catalogues of protocols and backbones say is current; loads no method and no torch."""
    from bench.backbones.catalogue import CATALOGUE
    from protocols import catalogue

    backbones = {name: entry.version for name, entry in CATALOGUE.items()}
    return Current(tuple(catalogue.DEFAULT), catalogue.resolve, backbones=backbones)


def build(records: Iterable[Record], current: Current, *, all_protocols: bool = False) -> Leaderboard:
    """Return one table a (data set, backbone, budget), in the order of these names.

    Data sets of one name but other content (fingerprint) get tables of their own and are never compared. A row holds seeds of
    one version of its method: the highest among them. An encoder from elsewhere has no budget here, and stands in every table of
    its data set and backbone (of its data set alone where its network is none of ours); in one of its own where there is none.

    Args:
        records: Of any runs, in any order.
        current: What is current.
        all_protocols: Also show what was measured on request, after the default set.
    """
    groups: dict[tuple[str, ...], list[Record]] = {}
    stale: list[Stale] = []
    for record in records:
        left = _stale(record, current)
        stale += left
        if any(one.protocol is None for one in left):
            continue
        gone = {one.protocol for one in left}
        kept = {name: m for name, m in record.protocols.items() if name not in gone}
        of = record.identity
        key = (of.task, of.dataset, of.backbone, of.budget, of.fingerprint)
        groups.setdefault(key, []).append(replace(record, protocols=kept))
    for place, group in groups.items():
        groups[place], older = newest(group)
        stale += older
    groups = _joined(groups)
    twins = [key[:-1] for key in groups]
    tables = [_table(groups[key], current, all_protocols, twins.count(key[:-1]) > 1) for key in sorted(groups)]
    return Leaderboard(tuple(_linked(tables)), tuple(stale))


def _joined(groups: Mapping[tuple[str, ...], list[Record]]) -> dict[tuple[str, ...], list[Record]]:
    """Put the encoders from elsewhere into the tables of their data set; they keep one of their own only where there is none."""
    joined = {key: list(group) for key, group in groups.items() if key[3] != NO_BUDGET}
    for key, group in groups.items():
        task, dataset, backbone, budget, fingerprint = key
        if budget != NO_BUDGET:
            continue
        hosts = [
            host
            for host in joined
            if host[3] != NO_BUDGET
            and (host[0], host[1], host[4]) == (task, dataset, fingerprint)
            and backbone in (OWN_NETWORK, host[2])
        ]
        for host in hosts:
            joined[host] += group
        if not hosts:
            joined[key] = list(group)
    return joined


def _linked(tables: Sequence[Table]) -> list[Table]:
    """Return the tables, each with the backbones of the others that hold the same images, task and budget."""
    data = [(table.dataset, table.fingerprint, table.task, table.budget) for table in tables]
    return [
        replace(
            table,
            beside=tuple(
                other.backbone
                for other, theirs in zip(tables, data, strict=True)
                if theirs == own and other.backbone != table.backbone
            ),
        )
        for table, own in zip(tables, data, strict=True)
    ]


def newest(records: Sequence[Record]) -> tuple[list[Record], list[Stale]]:
    """Return the records of each row's highest versions, and the others: seeds of different code are never averaged.

    Args:
        records: Of one table.
    """
    highest: dict[str, tuple[int, int]] = {}
    for record in records:
        name = _row_name(record)
        highest[name] = max(highest.get(name, (0, 0)), _versions(record))
    stale = []
    for record in records:
        of, now = record.identity, highest[_row_name(record)]
        if _versions(record) != now:
            kind, version, best = f"method {of.method}", of.method_version, now[1]
            if of.backbone_version != now[0]:
                kind, version, best = f"backbone {of.backbone}", of.backbone_version, now[0]
            stale.append(Stale(of, f"{kind} version {version}, other seeds have {best}"))
    return [record for record in records if _versions(record) == highest[_row_name(record)]], stale


def _row_name(record: Record) -> str:
    return method_folder(record.identity.method, record.identity.settings)


def _versions(record: Record) -> tuple[int, int]:
    return record.identity.backbone_version, record.identity.method_version


def _stale(record: Record, current: Current) -> list[Stale]:
    of = record.identity
    versions = [
        ("harness", of.harness_version, current.harness),
        (f"method {of.method}", of.method_version, (current.methods or {}).get(of.method)),
        (f"backbone {of.backbone}", of.backbone_version, (current.backbones or {}).get(of.backbone)),
    ]
    for name, version, now in versions:
        if now is not None and version != now:
            return [Stale(of, f"{name} version {version}, now {now}")]
    stale = []
    for name, measurement in record.protocols.items():
        try:
            now = current.resolve(name).version
        except ValueError:
            stale.append(Stale(of, f"protocol {name} is not known here", name))
            continue
        if measurement.version != now:
            reason = f"protocol {name} version {measurement.version}, now {now}"
            stale.append(Stale(of, reason, None if name in current.default else name))
    return stale


def _table(records: Sequence[Record], current: Current, all_protocols: bool, twin: bool) -> Table:
    first = next((r.identity for r in records if r.identity.budget != NO_BUDGET), records[0].identity)
    columns = columns_of(records, current, all_protocols)
    by_row: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.identity.seed):
        by_row.setdefault(_row_name(record), []).append(record)
    rows = [row(seeds, columns) for seeds in by_row.values()]
    if first.task == "test":
        # A column that only a floor or an encoder from elsewhere was measured under takes no rank away.
        asked = {name for r in rows if r.group == "methods" for name in r.scores}
        rows = ranked(tied(rows, columns), [c for c in columns if c.id in current.default and c.id in asked])
    rows = order(_marked(rows), "rank", columns)
    images = {m.images for r in records for m in r.protocols.values() if m.images}
    table = Table(
        dataset=first.dataset,
        fingerprint=first.fingerprint,
        backbone=first.backbone,
        budget=first.budget,
        task=first.task,
        classes=next((r.classes for r in records if r.classes), None),
        images=max(images, default=None),
        columns=columns,
        rows=tuple(rows),
    )
    return replace(table, notes=tuple(_notes(table, twin)))


def columns_of(records: Sequence[Record], current: Current, all_protocols: bool) -> tuple[Column, ...]:
    """Return the columns that were measured: the default set in its order, then, if asked for, others that are known here."""
    measured = {name for record in records for name in record.protocols if _known(name, current)}
    names = [name for name in current.default if name in measured]
    if all_protocols:
        names += sorted(measured - set(names), key=_natural)
    columns = []
    for name in names:
        entry = current.resolve(name)
        found = [r.protocols[name] for r in records if name in r.protocols]
        # Label sets belong to the data set, not to the run: where one run knows that they are the same, they are.
        same = next((m.same_as for m in found if m.same_as), None)
        columns.append(Column(name, not entry.label_free, entry.higher_is_better, same))
    return tuple(columns)


def _known(name: str, current: Current) -> bool:
    try:
        current.resolve(name)
    except ValueError:
        return False
    return True


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _marked(rows: Sequence[Row]) -> list[Row]:
    """Mark the rows that ran on another device, or were trained in another precision, than most."""
    devices = Counter(r.device for r in rows)
    precisions = Counter(r.precision for r in rows if r.precision)

    def unlike(r: Row) -> bool:
        return _strange(r.device, devices) or (r.precision is not None and _strange(r.precision, precisions))

    return [replace(r, marked=unlike(r)) for r in rows]


def _strange(kind: str, kinds: "Counter[str]") -> bool:
    return " + " in kind or kind != max(kinds, key=lambda k: (kinds[k], k))


def _notes(table: Table, twin: bool) -> list[str]:
    notes = []
    if table.task == "val":
        notes.append("Measured on the development task (val): never ranked.")
    if twin:
        notes.append(f"Data of this name differ: this table holds those with fingerprint {table.fingerprint[:8]}.")
    for column in table.columns:
        if column.same_as:
            notes.append(f"{column.id} = {column.same_as}: the same label sets, so not counted again.")
    single = [r.label for r in table.rows if r.scores and len(r.seeds) == 1]
    if single and len(single) == len([r for r in table.rows if r.scores]):
        notes.append("One seed a row: pretraining noise is not in it.")
    elif single:
        notes.append(f"One seed only, pretraining noise is not in it: {', '.join(single)}.")
    for r in table.rows:
        if r.marked:
            notes.append(f"{r.label} ran on {r.device}" + (f", trained in {r.precision}." if r.precision else "."))
        if r.status != "ok":
            notes.append(f"{r.label} {r.status}" + (f": {r.cause}" if r.cause else ""))
    return notes
