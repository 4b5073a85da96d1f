"""The records behind the rows of a table."""

from collections.abc import Sequence

from bench.leaderboard.tables import Leaderboard, Table, row_name
from bench.records.record import NO_BUDGET, OWN_NETWORK, Record


def current(leaderboard: Leaderboard, records: Sequence[Record]) -> list[Record]:
    """Return the records that the tables show, without those of other versions."""
    outdated = [entry.identity for entry in leaderboard.stale if entry.protocol is None]
    return [record for record in records if record.identity not in outdated]


def records_of(table: Table, records: Sequence[Record]) -> list[Record]:
    """Return the records of a table's data set, backbone and budget, and of encoders from elsewhere that it shows."""
    return [
        record
        for record in records
        if (i := record.identity).dataset == table.dataset
        and i.fingerprint == table.fingerprint
        and i.task == table.task
        and i.backbone in (table.backbone, OWN_NETWORK)
        and i.budget in (table.budget, NO_BUDGET)
    ]


def by_row(table: Table, records: Sequence[Record]) -> dict[str, list[Record]]:
    """Return the records of each row of a table in the order of its seeds, by the row's label."""
    seeds = {row.label: row.seeds for row in table.rows}
    found: dict[str, dict[int, Record]] = {}
    for record in records_of(table, records):
        i = record.identity
        label = row_name(i.method, i.settings, i.plugin)
        if i.seed in seeds.get(label, ()):
            found.setdefault(label, {}).setdefault(i.seed, record)
    return {label: [of_seed[seed] for seed in sorted(of_seed)] for label, of_seed in found.items()}
