"""Build the tables of a leaderboard from records. Pure functions."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol as Interface

from bench import HARNESS_VERSION
from bench.leaderboard.ranking import compared_columns, order, with_best, with_ranks, with_untrained
from bench.leaderboard.rows import build_row
from bench.leaderboard.tables import DIGITS, Column, Leaderboard, Row, Stale, Table, row_name
from bench.leaderboard.transfers import Target, columns_on, facts_of, measured_on, target_of, targets_of
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record

GroupKey = tuple[str, str, str, str, int, str]
"""Task, data set, backbone, budget, number of trials (0 for shipped recipes) and fingerprint of a table."""


class EntryLike(Interface):
    """What the leaderboard needs of a protocol's entry in the catalogue."""

    @property
    def version(self) -> int:
        """Version of the protocol's constants."""

    @property
    def label_free(self) -> bool:
        """Whether the metric needs no labels."""

    @property
    def higher_is_better(self) -> bool | None:
        """None for a metric without direction."""

    @property
    def metric(self) -> str | None:
        """Name of the measure that the column shows; None for ``top1``, or for the protocol's id if it is label-free."""

    @property
    def fixed_conditions(self) -> bool:
        """Whether several answers to an image belong to fixed conditions, not to draws."""


@dataclass(frozen=True)
class CurrentVersions:
    """The current versions; records of other versions are stale.

    Attributes:
        default: Protocol ids of the default set, in the order of the columns.
        resolve: Protocol id to its entry; raises ValueError for an unknown id.
        harness: Version of the harness.
        methods: Version of each method; None if the methods are not loaded.
        backbones: Version of each backbone of the catalogue.
    """

    default: tuple[str, ...]
    resolve: Callable[[str], EntryLike]
    harness: int = HARNESS_VERSION
    methods: Mapping[str, int] | None = None
    backbones: Mapping[str, int] | None = None


def current_versions() -> CurrentVersions:
    """Return the versions of the harness and of the catalogues of protocols and backbones; loads neither methods nor torch."""
    from bench.backbones.catalogue import CATALOGUE
    from protocols import catalogue

    backbones = {name: entry.version for name, entry in CATALOGUE.items()}
    return CurrentVersions(tuple(catalogue.DEFAULT), catalogue.resolve, backbones=backbones)


def build(records: Iterable[Record], current: CurrentVersions, *, all_protocols: bool = False) -> Leaderboard:
    """Return one table per data set, backbone and budget, sorted by these names, and another one per number of trials of ``sslbench tune``.

    Data sets with the same name but different content (fingerprint) get separate tables and are never compared. A row averages
    only seeds of the same method and backbone version, the highest, and of the same plugin content. Of two records of the same run
    the first counts. An encoder pretrained elsewhere has no budget and appears in
    every table of its data set and backbone (of its data set alone if it has its own network), or in a separate table if there
    is none. What was measured on another data set than that of pretraining is in tables of their own, one per such table and data set.

    Args:
        records: Records of any runs, in any order.
        current: The current versions.
        all_protocols: Also show the columns that were measured on request, after the default set.
    """
    groups: dict[GroupKey, list[Record]] = {}
    stale: list[Stale] = []
    seen: set[tuple[str, ...]] = set()
    for record in records:
        run = _run_key(record)
        if run in seen:
            stale.append(Stale(record.identity, "another record of the same run, counted once"))
            continue
        seen.add(run)
        outdated = _stale(record, current)
        stale += outdated
        if any(entry.protocol is None for entry in outdated):
            continue
        left_out = {entry.protocol for entry in outdated}
        kept = {name: m for name, m in record.protocols.items() if name not in left_out}
        identity = record.identity
        for tuned in tables_of(record):
            key = (identity.task, identity.dataset, identity.backbone, identity.budget, tuned, identity.fingerprint)
            groups.setdefault(key, []).append(replace(record, protocols=kept))
    for group_key, group in groups.items():
        groups[group_key], older = newest(group)
        stale += [entry for entry in older if entry not in stale]
    groups = _with_untuned(groups)
    groups = _with_encoders_from_elsewhere(groups)
    names = [key[:-1] for key in groups]
    tables: list[Table] = []
    transfers: list[Table] = []
    for of_table in sorted(groups):
        shared_name, trials = names.count(of_table[:-1]) > 1, of_table[4] or None
        tables.append(_table(groups[of_table], current, all_protocols, shared_name, tuned=trials))
        transfers += _transfers(groups[of_table], current, shared_name, trials)
    return Leaderboard(tuple(_linked(tables)), tuple(stale), tuple(_linked(transfers)))


def _run_key(record: Record) -> tuple[str, ...]:
    """Return what makes two records results of the same run."""
    i = record.identity
    versions = f"{i.method_version} {i.backbone_version} {i.harness_version}"
    return (i.task, i.dataset, i.fingerprint, i.backbone, i.budget, _row_name(record), versions, str(i.seed))


def tables_of(record: Record) -> list[int]:
    """Return the tables of a record: 0 for that of the shipped recipes, and the numbers of trials of searches that it won."""
    shipped = not (record.tuned and record.identity.settings)
    searches = sorted(set(record.tuned))
    return [0, *searches] if shipped else searches


def _with_untuned(groups: Mapping[GroupKey, list[Record]]) -> dict[GroupKey, list[Record]]:
    """Add the methods that are not trained, and so have nothing to tune, to the tables of tuned rows."""
    joined = {key: list(group) for key, group in groups.items()}
    for key, group in joined.items():
        if key[4]:
            shipped = groups.get((*key[:4], 0, key[5]), [])
            group += [
                r
                for r in shipped
                if r.cost.pretrain_s is None and r.status == "ok" and r.identity.budget != NO_BUDGET and not r.tuned
            ]
    return joined


def _with_encoders_from_elsewhere(groups: Mapping[GroupKey, list[Record]]) -> dict[GroupKey, list[Record]]:
    """Add the encoders pretrained elsewhere to the tables of their data set; without such a table they keep a separate one."""
    joined = {key: list(group) for key, group in groups.items() if key[3] != NO_BUDGET}
    for key, group in groups.items():
        task, dataset, backbone, budget, _, fingerprint = key
        if budget != NO_BUDGET:
            continue
        matching = [
            other
            for other in joined
            if other[3] != NO_BUDGET
            and (other[0], other[1], other[4], other[5]) == (task, dataset, 0, fingerprint)
            and backbone in (OWN_NETWORK, other[2])
        ]
        for other in matching:
            joined[other] += group
        if not matching:
            joined[key] = list(group)
    return joined


def _linked(tables: Sequence[Table]) -> list[Table]:
    """Return the tables, each with the other backbones that have a table of the same images, task and budget."""
    keys = [
        (t.dataset, t.fingerprint, t.task, t.budget, t.tuned, t.measured_on, t.measured_on_fingerprint) for t in tables
    ]
    return [
        replace(
            table,
            other_backbones=tuple(
                other.backbone
                for other, other_key in zip(tables, keys, strict=True)
                if other_key == key and other.backbone != table.backbone
            ),
        )
        for table, key in zip(tables, keys, strict=True)
    ]


def newest(records: Sequence[Record]) -> tuple[list[Record], list[Stale]]:
    """Return the records of each row's highest versions, and the others: seeds of different code are never averaged.

    Args:
        records: Records of one table.
    """
    highest: dict[str, tuple[int, int]] = {}
    for record in records:
        name = _row_name(record)
        highest[name] = max(highest.get(name, _versions(record)), _versions(record))
    stale = []
    for record in records:
        identity, best = record.identity, highest[_row_name(record)]
        if _versions(record) != best:
            kind, version, newer = f"method {identity.method}", identity.method_version, best[1]
            if identity.backbone_version != best[0]:
                kind, version, newer = f"backbone {identity.backbone}", identity.backbone_version, best[0]
            stale.append(Stale(identity, f"{kind} version {version}, other seeds have {newer}"))
    return [record for record in records if _versions(record) == highest[_row_name(record)]], stale


def _row_name(record: Record) -> str:
    return row_name(record.identity.method, record.identity.settings, record.identity.plugin)


def _versions(record: Record) -> tuple[int, int]:
    return record.identity.backbone_version, record.identity.method_version


def _stale(record: Record, current: CurrentVersions) -> list[Stale]:
    """Return why the record is stale, or else which of its measurements are."""
    identity = record.identity
    versions = [
        ("harness", identity.harness_version, current.harness),
        (f"method {identity.method}", identity.method_version, (current.methods or {}).get(identity.method)),
        (
            f"backbone {identity.backbone}",
            identity.backbone_version,
            (current.backbones or {}).get(identity.backbone),
        ),
    ]
    for name, version, now in versions:
        if now is not None and version != now:
            return [Stale(identity, f"{name} version {version}, now {now}")]
    stale = []
    for name, measurement in record.protocols.items():
        try:
            now = current.resolve(name).version
        except (ValueError, TypeError, RecursionError):
            stale.append(Stale(identity, f"unknown protocol {name}", name))
            continue
        if measurement.version != now:
            reason = f"protocol {name} version {measurement.version}, now {now}"
            stale.append(Stale(identity, reason, None if name in current.default else name))
    return stale


def _table(
    records: Sequence[Record],
    current: CurrentVersions,
    all_protocols: bool,
    other_data_of_this_name: bool,
    target: Target | None = None,
    tuned: int | None = None,
) -> Table:
    first = next((r.identity for r in records if r.identity.budget != NO_BUDGET), records[0].identity)
    columns = columns_on(records, target) if target else columns_of(records, current, all_protocols)
    by_row: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.identity.seed):
        by_row.setdefault(_row_name(record), []).append(record)
    rows = with_untrained([build_row(seeds, columns, tuned) for seeds in by_row.values()], columns)
    if first.task == "test":
        # A column that only unranked rows have must not leave every method without a rank.
        measured = {name for r in rows if r.group == "methods" for name in r.scores}
        counted = [c for c in columns if c.id in current.default and c.id in measured]
        compared = compared_columns(rows, columns)
        rows = with_best(rows, compared)
        rows = rows if target else with_ranks(rows, counted, compared)
    rows = order(_marked(rows), "rank", columns)
    scored = [m for r in records for m in measured_on(r, target) if m.images]
    largest = [m.largest_class for m in scored if m.largest_class is not None]
    facts = facts_of(records, target) if target else []
    classes = [f.classes for f in facts] if target else [r.classes for r in records if r.classes]
    table = Table(
        dataset=first.dataset,
        fingerprint=first.fingerprint,
        backbone=first.backbone,
        budget=first.budget,
        task=first.task,
        classes=next(iter(classes), None),
        images=max((m.images for m in scored), default=None),
        columns=columns,
        rows=tuple(rows),
        largest_class=max(largest, default=None),
        measured_on=target.dataset if target else None,
        measured_on_fingerprint=target.fingerprint if target else None,
        tuned=tuned,
    )
    data = [f.data for f in facts] if target else [r.data for r in records if r.data]
    duplicates, seen = max((d.duplicates for d in data), default=0), max((f.seen for f in facts), default=0)
    return replace(table, notes=tuple(_notes(table, other_data_of_this_name, duplicates, seen)))


def _transfers(
    records: Sequence[Record], current: CurrentVersions, other_data_of_this_name: bool, tuned: int | None
) -> Iterator[Table]:
    """Yield the tables of the encoders of one table that were measured on other data sets."""
    targets = targets_of(records)
    names = [target.dataset for target in targets]
    for target in targets:
        found = [record for record in records if measured_on(record, target)]
        table = _table(found, current, False, other_data_of_this_name, target, tuned)
        if names.count(target.dataset) > 1:
            note = f"There are different data sets named {target.dataset}; this table is for fingerprint {target.fingerprint[:8]}."
            table = replace(table, notes=(note, *table.notes))
        yield table


def columns_of(records: Sequence[Record], current: CurrentVersions, all_protocols: bool) -> tuple[Column, ...]:
    """Return the measured columns: the default set in its order; with ``all_protocols`` also the other known protocols.

    A protocol of a plugin has a column per content of the plugin.
    """
    own = [name for record in records for name, m in record.protocols.items() if target_of(m) is None]
    measured = {name for name in own if _known(name, current)}
    names = [name for name in current.default if name in measured]
    if all_protocols:
        names += sorted(measured - set(names), key=_natural)
    columns = []
    for name in names:
        entry = current.resolve(name)
        found = [r.protocols[name] for r in records if name in r.protocols]
        # Label sets belong to the data set: if one run recorded that two are the same, they are the same in every run.
        same = next((m.same_as for m in found if m.same_as), None)
        contents = sorted({m.plugin for m in found}, key=lambda plugin: plugin or "")
        for plugin in contents:
            id = name if len(contents) == 1 else f"{name}@{(plugin or 'built-in')[:DIGITS]}"
            columns.append(column_of(entry, id, name, same_as=same, plugin=plugin))
    return tuple(columns)


def column_of(
    entry: EntryLike, id: str, protocol: str, *, same_as: str | None = None, plugin: str | None = None
) -> Column:
    """Return the column of a protocol."""
    percent = not entry.label_free and entry.metric in (None, "top1")
    return Column(id, percent, entry.higher_is_better, same_as, protocol, plugin, entry.metric, entry.fixed_conditions)


def _known(name: str, current: CurrentVersions) -> bool:
    try:
        current.resolve(name)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a sort key that orders the numbers in names by value."""
    parts = re.split(r"([0-9]+)", name)
    return [(len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part) for part in parts]


def _marked(rows: Sequence[Row]) -> list[Row]:
    """Mark the rows that ran on another device, or were trained in another precision, than most."""
    devices = Counter(r.device for r in rows)
    precisions = Counter(r.precision for r in rows if r.precision)

    def differs(r: Row) -> bool:
        return _unusual(r.device, devices) or (r.precision is not None and _unusual(r.precision, precisions))

    return [replace(r, marked=differs(r)) for r in rows]


def _unusual(kind: str, kinds: "Counter[str]") -> bool:
    return " + " in kind or kind != max(kinds, key=lambda k: (kinds[k], k))


def on_seeds(table: Table) -> list[str]:
    """Return what rows of one seed lack, and how to get it."""
    varying = [r for r in table.rows if r.scores and not r.deterministic]
    single = [r for r in varying if len(r.seeds) == 1]
    if not single:
        return []
    every = len(single) == len(varying)
    names = "One seed per row" if every else f"One seed only ({', '.join(r.label for r in single)})"
    missing = "the intervals do not include the variation between seeds"
    if table.task == "test" and any(r.group == "methods" for r in single):
        missing += f", and {'which rows' if every else 'whether these rows'} could be the best is unknown"
    return [f"{names}: {missing}. `--seeds 5` of `sslbench run` adds the missing seeds."]


def _notes(table: Table, other_data_of_this_name: bool, duplicates: int, seen: int) -> list[str]:
    notes = []
    if table.tuned is not None:
        notes.append(
            f"Tuned (sslbench tune): each method with the best of {table.tuned:,} settings on the development task, the shipped recipe "
            "among them; methods that are not trained are the same as in the table of the shipped recipes."
        )
    if table.task == "val":
        notes.append(
            "Development task (--on val): measured on val, a part of the training images that is kept for choices; never ranked."
        )
    if duplicates:
        of = f" of {table.images:,}" if table.images else ""
        notes.append(
            f"{duplicates:,}{of} test images are also training images (equal pixels), which makes scores too high."
        )
    if seen:
        notes.append(
            f"{seen:,} of the images that were measured on are also images of {table.dataset} (equal pixels), which pretraining saw."
        )
    if other_data_of_this_name:
        notes.append(
            f"There are different data sets of this name; this table is for fingerprint {table.fingerprint[:8]}."
        )
    for column in table.columns:
        if column.same_as:
            notes.append(f"{column.id} uses the same label sets as {column.same_as} and is not counted twice.")
    notes += on_seeds(table)
    for r in table.rows:
        if r.marked:
            notes.append(f"{r.label} ran on {r.device}" + (f", trained in {r.precision}." if r.precision else "."))
        if r.status != "ok":
            notes.append(f"{r.label} {r.status}" + (f": {r.cause}" if r.cause else ""))
    return notes
