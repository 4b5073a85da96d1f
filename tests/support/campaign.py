"""Simulated records of methods of known ability, for the tests of leaderboards and reports."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.records.record import Cost, Identity, Measurement, Record, Status
from protocols import catalogue

DRAWS = {
    "knn": 1,
    "linear": 1,
    "lowshot-1": 10,
    "lowshot-1pct": 5,
    "lowshot-10pct": 3,
    "lowshot-1-frozen": 10,
    "lowshot-1pct-frozen": 5,
    "lowshot-10pct-frozen": 3,
}
EASINESS = {"knn": 3.5, "linear": 4.0, "lowshot-1": 1.0, "lowshot-1pct": 1.0, "lowshot-10pct": 2.6}


@dataclass(frozen=True)
class Entry:
    id: str
    version: int = 1
    label_free: bool = False
    higher_is_better: bool | None = True


def resolve(name: str) -> Entry:
    if name in ("rankme", "feature_std"):
        return Entry(name, label_free=True, higher_is_better=None)
    if name in ("linear-sgd", "knn-200-t01") or name in DRAWS:
        return Entry(name, catalogue.resolve(name).version)
    raise ValueError(f"unknown protocol {name!r}")


def simulate(
    abilities: Mapping[str, float],
    seeds: Sequence[int] = (0,),
    columns: Sequence[str] = tuple(DRAWS),
    images: int = 360,
    noise: float = 0.1,
    luck: int = 0,
    settings: Mapping[str, Any] | None = None,
    status: Status = "ok",
    cause: str | None = None,
    environment: Mapping[str, Any] | None = None,
    identity: Mapping[str, Any] | None = None,
) -> list[Record]:
    """Records of methods of known ability; each prediction depends on image, draw, image × draw, seed and chance (logistic model).

    ``pixels`` gives the same answers with every seed and luck.
    """
    world = np.random.default_rng(7)
    difficulty = {name: world.normal(0, 1.5, images) for name in DRAWS}
    drawn = {name: world.normal(0, 0.4, (n, 1)) + world.normal(0, 0.8, (n, images)) for name, n in DRAWS.items()}
    records = []
    for index, (method, ability) in enumerate(abilities.items()):
        for seed in seeds:
            chance = np.random.default_rng([0, index, 0] if method == "pixels" else [luck, index, seed])
            base = ability + chance.normal(0, noise)
            protocols = {}
            for name in columns:
                if method == "pixels" and name.startswith("lowshot") and not name.endswith("frozen"):
                    continue
                easiness = EASINESS[name.removesuffix("-frozen")]
                logits = (
                    base + easiness + difficulty[name] + (drawn[name] if DRAWS[name] > 1 else np.zeros((1, images)))
                )
                protocols[name] = measurement(chance.random(logits.shape) < 1 / (1 + np.exp(-logits)), name)
            trained = method not in ("pixels", "random_init")
            known = {
                "dataset": "digits",
                "fingerprint": "a1b2c3d4" * 8,
                "task": "test",
                "method": method,
                "method_version": 1,
                "backbone": "resnet9_slim",
                "backbone_version": 1,
                "harness_version": 1,
                "budget": "standard",
                "epochs": 60,
                "batch": 256,
                "seed": seed,
                "settings": dict(settings or {}),
            }
            records.append(
                Record(
                    identity=Identity(**(known | dict(identity or {}))),  # type: ignore[arg-type]
                    status=status,
                    cause=cause,
                    protocols=protocols,
                    curve={"step": list(range(0, 300, 3)), "loss": [5 * 0.98**i + 1 for i in range(100)]},
                    cost=Cost(
                        pretrain_s=18.4 + index if trained else None,
                        evaluate_s=6.1,
                        images_per_s=4712.0 - 300 * index if trained else None,
                        peak_memory_mb=812.5,
                        parameters=0 if method == "pixels" else 696_512,
                        views_per_image=2 if trained else None,
                    ),
                    environment={"device": "cpu", "precision": "bf16-mixed", "threads": 1} | dict(environment or {}),
                    classes=10,
                )
            )
    return records


def measurement(correct: np.ndarray, name: str) -> Measurement:
    """A measurement from correct [draws, images]: whether each prediction is correct."""
    draws = [
        {"top1": float(d.mean()), "top5": float(min(1, d.mean() + 0.1)), "mean_class": float(d.mean()), "nll": 0.5}
        for d in correct
    ]
    return Measurement(
        version=catalogue.resolve(name).version,
        metrics={key: float(np.mean([d[key] for d in draws])) for key in draws[0]},
        draws=draws,
        correct=[base64.b64encode(np.packbits(d).tobytes()).decode() for d in correct],
        images=correct.shape[1],
        label_sets=f"sets of {name}" if name.startswith("lowshot") else None,
        seconds=0.8,
    )
