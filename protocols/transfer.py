"""``transfer-<data set>-<protocol>``: a protocol on another data set than that of pretraining; imports no torch."""

import re

PROTOCOLS = ("knn", "linear", "lowshot-1pct-frozen")
"""The protocols that measure a transfer, all on frozen features."""
_ID = re.compile(rf"transfer-(?P<dataset>[A-Za-z0-9_][A-Za-z0-9_.-]*)-(?P<protocol>{'|'.join(PROTOCOLS)})")


def transfer_id(dataset: str, protocol: str) -> str:
    """Return the id under which a protocol of ``PROTOCOLS`` is recorded if it measures on this data set, named as in records."""
    return f"transfer-{dataset}-{protocol}"


def transfer_ids(dataset: str) -> tuple[str, ...]:
    """Return the ids of all protocols that measure on this data set."""
    return tuple(transfer_id(dataset, protocol) for protocol in PROTOCOLS)


def parse_transfer(id: str) -> tuple[str, str] | None:
    """Return (data set, protocol) of an id that ``transfer_id`` made; None for any other id."""
    # None of the protocols ends in the name of another one, so the end of an id is unambiguous, whatever the data set is called.
    match = _ID.fullmatch(id)
    return None if match is None else (match["dataset"], match["protocol"])
