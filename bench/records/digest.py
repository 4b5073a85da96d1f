"""Hash of a run's identity, by which files other than its record name the run that they belong to."""

import hashlib
import json
from dataclasses import asdict

from bench.records.record import Identity


def digest(identity: Identity) -> str:
    """Return a hash of everything that decides the numbers of a pretraining."""
    text = json.dumps(asdict(identity), sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
