"""A record in which every field is set."""

import math

from bench.records.record import Cost, DataFacts, Identity, Measurement, Record


def full_record() -> Record:
    """A collapsed run on digits with every field set, and values that are not finite."""
    return Record(
        identity=Identity(
            dataset="digits",
            fingerprint="0f" * 32,
            task="test",
            method="simclr",
            method_version=2,
            backbone="resnet9_slim",
            backbone_version=1,
            harness_version=1,
            budget="standard",
            epochs=60,
            batch=256,
            seed=3,
            settings={"temperature": 0.2, "symmetric": True, "crop": (0.5, 1.0), "queue": None},
            plugin="0123456789abcdef",
        ),
        status="collapsed",
        cause="rankme 1.2 is below 3",
        protocols={
            "knn": Measurement(
                version=1,
                metrics={"top1": 0.75, "top5": 1.0, "mean_class": 0.7, "nll": math.inf},
                draws=[{"top1": 0.75, "top5": 1.0, "mean_class": 0.7, "nll": math.inf}],
                variants={"k=1": {"top1": 0.5, "nll": 0.1 + 0.2}},
                choices={"k": 20, "penalty": math.nan, "names": ["a", "b"]},
                curves={"loss": [1.0, 0.5, -math.inf]},
                train_accuracy=[1.0],
                correct=["4A=="],
                images=4,
                label_sets="ab12",
                seconds=0.25,
                plugin="c0ffee",
                largest_class=0.5,
            ),
            "lowshot-1pct": Measurement(version=1, same_as="lowshot-1"),
        },
        curve={"step": [0, 10, 20], "loss": [6.5, 1e-300, math.nan]},
        cost=Cost(18.5, 6.25, 4000.0, 812.0, 696_512, 2, 1.5),
        environment={"device": "cpu", "packages": {"torch": "2.15.0"}, "threads": 1, "finished": "2026-01-01T00:00:00"},
        classes=10,
        group="methods",
        recipe={
            "optimizer": "sgd",
            "rate": 0.06,
            "betas": [0.9, 0.999],
            "clip": None,
            "settings": {"temperature": 0.2},
        },
        data=DataFacts(train=1438, val=144, test=359, unlabelled=0, duplicates=1),
        watched={"epoch": [5, 10], "step": [30, 60], "knn": [0.5, 0.75], "rankme": [12.5, math.inf]},
        tuned=[8, 16],
        notes=["running statistics were measured on train"],
    )
