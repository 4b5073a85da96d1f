"""The waits that are accepted, each with its reason: subject -> place -> reason.

A subject is the id of a method, the module of a protocol, or a title in a test of this folder. A place is ``file.py:function``, the innermost
function of sslbench or lightly. A test fails if its subject waits anywhere else, and if it does not wait at one of its places.
"""

FEATURES = {"protocols/parts/rows.py:rows_of": "once per part: indices of the features, which may be stored elsewhere"}
IMAGES = {"protocols/selection.py:images_on_device": "once per training: the images are copied to the device"}
LABELS = {"protocols/parts/labelled.py:of": "once per fit: features must be finite, and constant ones are dropped"}
SOLVED = {
    "protocols/parts/curvature.py:__init__": "once per problem: random numbers of the sample",
    "protocols/parts/logistic.py:_finished": "once per step: whether the gradient is small enough",
    "protocols/parts/logistic.py:_largest_entry": "once per solution, and near the end",
}
VALUE = {"protocols/parts/logistic.py:_objective": "once per evaluation: the line search decides on the host"}
STEPS = {
    "protocols/parts/curvature.py:_factor": "once per preconditioner: whether the factorisation succeeded",
    "protocols/parts/logistic.py:solve": "once per preconditioner: whether the point moved",
    "protocols/parts/logistic.py:_round": "once per step: slope and curvature along it",
}
FEW_IMAGES = {"protocols/parts/span.py:__init__": "once per problem: the span of few images"}
TRAINED = {
    **IMAGES,
    "protocols/parts/finetune.py:thinned": "once per training: its curves",
    "protocols/parts/finetune.py:log_probabilities": "once per training: predictions are scored on the host",
}
FINE_TUNED = {
    **FEATURES,
    **LABELS,
    **SOLVED,
    **VALUE,
    **FEW_IMAGES,
    **TRAINED,
    "protocols/lowshot.py:predict": "once per draw: labels of the label set, and the accuracy on it",
}

HEAD = {
    **FEATURES,
    **LABELS,
    **SOLVED,
    **VALUE,
    "protocols/linear.py:_fitted": "once: labels, and the accuracy on them",
    "protocols/linear.py:_choose": "once: indices of the validation images",
    "protocols/linear.py:solve": "once per penalty: its log-loss ends the search",
}

MAY_WAIT: dict[str, dict[str, str]] = {
    "mmcr": {
        "methods/mmcr.py:capacity_loss": "the library of singular values reports to the host whether it converged"
    },
    "smog": {
        "methods/smog.py:_reset_groups": "ten times per training: the groups are clustered again",
        "methods/smog.py:spherical_kmeans": "ten times per training: the first centres are drawn on the CPU",
    },
    "training loop": {
        "bench/training/loss_history.py:_read": "once per window of the loss curve",
        "bench/training/finite.py:_not_finite": "at the start and with every checkpoint",
    },
    "views image by image": {"bench/views/per_sample.py:__call__": "pixels and seeds go to worker processes"},
    "feature extraction": {"bench/evaluation/features.py:extract": "once at the end: features must be finite"},
    "logistic regression": SOLVED | VALUE | STEPS,
    "logistic regression, wide": SOLVED
    | STEPS
    | {"protocols/parts/logistic.py:_blockwise_objective": "once per evaluation"},
    "protocols.knn": {"protocols/knn.py:_normalised": "once per block of the search, which reads the host's memory"},
    "protocols.labelfree": {
        **FEATURES,
        "protocols/labelfree.py:predict": "once: features must be finite",
        "protocols/labelfree.py:two_views": "once per batch: its images are copied to the device",
        **{
            f"protocols/labelfree.py:{name}": "once: the figure"
            for name in ("rankme_of", "alignment", "uniformity", "feature_std")
        },
    },
    "protocols.linear": {**HEAD, "protocols/linear.py:predict": "once: predictions, which are scored on the host"},
    "protocols.linear_calibration": {
        **HEAD,
        "protocols/linear_calibration.py:predict": "once: predictions, which are scored on the host",
    },
    "protocols.linear_corruptions": {
        **HEAD,
        **IMAGES,
        "protocols/linear_corruptions.py:predict": "once: predictions, which are scored on the host",
    },
    "protocols.clusters": {
        "protocols/clusters.py:predict": "twice: features must be finite, and clusters are scored on the host",
        "protocols/parts/kmeans.py:fit": "once per ten iterations: whether a row changed its cluster",
    },
    "protocols.linear_sgd": {**TRAINED, "protocols/linear_sgd.py:predict": "once: labels, and the accuracy on them"},
    "protocols.attentive": {
        **LABELS,
        "protocols/attentive.py:on_cells": "once: labels",
        "protocols/attentive.py:log_probabilities": "once: predictions are scored on the host",
        "protocols/parts/finetune.py:thinned": "once: its curves",
    },
    "protocols.lowshot_frozen": {
        **FEATURES,
        **LABELS,
        **SOLVED,
        **VALUE,
        **FEW_IMAGES,
        "protocols/parts/logistic.py:__init__": "once per problem: its labels",
        "protocols/lowshot_frozen.py:predict": "once per draw: the label set, and predictions, which are scored on the host",
    },
    "protocols.lowshot": {
        **FINE_TUNED,
        "protocols/parts/heads.py:__init__": "once per draw: the counter of a batch norm",
        "bench/evaluation/task.py:restarted": "once per draw: seed of a new network",
    },
    "protocols.pseudolabel": FINE_TUNED,
}
