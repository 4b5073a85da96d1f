"""All protocols by id: version, constants, source, and the file that computes them; imports no torch."""

import difflib
import re
from dataclasses import replace

from protocols.constants import check_constants as check_constants
from protocols.entry import Entry as Entry
from protocols.entry import label_sets_of as label_sets_of
from protocols.entry import load as load
from protocols.parts.labels import Labels, parse_labels
from protocols.parts.training import Training
from protocols.transfer import parse_transfer
from protocols.variants import LONGEST_ID, SIGN, variant


class UnknownProtocol(ValueError):
    """No protocol has this id; the message suggests the nearest one."""


TOLERANCE = 1e-6
HALF_DECADES = tuple(float(f"{10 ** (exponent / 2):.6g}") for exponent in range(-12, 5))
WIDE = 3000
"""Parameters from which ``linear`` is a wide problem: factoring its full Hessian takes longer than all steps with a simpler one."""
WIDE_TOLERANCE = 0.01
"""Per λ: on pixels of digits the log-loss on ``val`` is then within 0.5 % of that of the solution; at 0.1 per λ it is up to 4 % off."""
WALK_TOLERANCE = 1e-5
"""Reached at λ = 1e-3. Only many images make so small a λ the best, and then they hold the solution more firmly than λ does."""
MOST_TOLERANCE = 1e-4
"""The default of scikit-learn's ``LogisticRegression``."""
RISE = 0.02
"""``linear`` tries no smaller λ once the log-loss on ``val`` is 2 % above its lowest."""

LINEAR = {
    "penalties": HALF_DECADES,
    "tolerance": TOLERANCE,
    "rise": RISE,
    "wide": WIDE,
    "wide_tolerance": WIDE_TOLERANCE,
    "walk_tolerance": WALK_TOLERANCE,
    "most_tolerance": MOST_TOLERANCE,
}

CALIBRATION_BINS = 15
"""As Guo 2017 (arXiv:1706.04599)."""
CORRUPTION_STRENGTHS = {
    "noise": (0.05, 0.1, 0.2),
    "blur": (0.6, 1.0, 1.5),
    "contrast": (0.7, 0.5, 0.3),
    "brightness": (0.1, 0.2, 0.3),
    "shift": (0.125, 0.25, 0.375),
}
"""Units: ``protocols.parts.corruptions``. CIFAR-10-C has 0.04 to 0.1, 0.4 to 1, 0.75 to 0.15 and 0.05 to 0.3 for the first four, ImageNet-C is
stronger; the strongest shift is three pixels of 8."""

CLUSTERING = {"starts": 10, "iterations": 300}
"""As scikit-learn's ``KMeans``, with the best of ten starts."""

SHARED_NEIGHBOURS = 1
"""Our addition: one extra neighbour shared by all classes keeps the log-loss of a vote finite; accuracies do not depend on it."""

FROZEN_PENALTY = 0.01
FINETUNE = Training(steps=100, passes=10, batch=64, trunk_rate=1e-4, head_rate=1e-3, optimizer="adamw")
FINETUNE_FROM_ZERO = Training(steps=100, passes=10, batch=64, trunk_rate=1e-4, head_rate=1e-2, optimizer="adamw")
HEAD_ONLY = Training(steps=100, passes=10, batch=64, trunk_rate=0.0, head_rate=1e-2, optimizer="adamw")
SCRATCH = Training(steps=100, passes=10, batch=64, trunk_rate=0.05, head_rate=0.05, optimizer="sgd")
START = {"start": "probe", "penalty": FROZEN_PENALTY, "tolerance": TOLERANCE}

DEFAULT: tuple[str, ...] = (
    "knn",
    "linear",
    "lowshot-1",
    "lowshot-1pct",
    "lowshot-10pct",
    "lowshot-1-frozen",
    "lowshot-1pct-frozen",
    "lowshot-10pct-frozen",
)

LABEL_FREE_IMAGES = 10_000

COLLAPSED: dict[str, float] = {"rankme": 1.5, "feature_std": 0.02}
"""A run has collapsed if a measure is below its threshold.

The lowest values of ``pixels`` and ``random_init`` (``resnet9_slim``, ``vit_nano``) on digits, MNIST, FashionMNIST and Imagenette at 96
pixels are 6.1 for RankMe and 0.16 for ``feature_std``.
"""


def _label_free(id: str, title: str, source: str, better: bool | None, needs_network: bool = False) -> Entry:
    constants = {"figure": id, "images": LABEL_FREE_IMAGES}
    return Entry(id, 1, title, source, "protocols.labelfree", constants, needs_network, True, better, metric=id)


NAMED = (
    Entry(
        "knn",
        1,
        "weighted vote of the 20 nearest training features",
        "DINO, arXiv:2104.14294; InstDisc, arXiv:1805.01978",
        "protocols.knn",
        {"k": 20, "temperature": 0.07, "shared": SHARED_NEIGHBOURS, "other_k": (1, 10, 100, 200)},
    ),
    Entry(
        "linear",
        2,
        "logistic regression on frozen features",
        "Kornblith 2019, arXiv:1805.08974; DINOv2, arXiv:2304.07193",
        "protocols.linear",
        LINEAR,
    ),
    Entry(
        "linear-sgd",
        1,
        "the literature's linear probe, 90 epochs of SGD",
        "SimCLR, arXiv:2002.05709; lightly's benchmarks",
        "protocols.linear_sgd",
        {"epochs": 90, "batch": 256, "rate": 0.1},
        needs_network=True,
    ),
    Entry(
        "attentive",
        1,
        "one attention query over the cells of the frozen feature map, then a linear layer",
        "CAE, arXiv:2202.03026; AIM, arXiv:2401.08541; calibrated: results/calibration",
        "protocols.attentive",
        {"heads": 4, "epochs": 20, "steps": 1000, "batch": 256, "rate": 3e-2, "weight_decay": 0.0},
        needs_network=True,
    ),
    Entry(
        "knn-200-t01",
        1,
        "weighted vote of the 200 nearest training features, T = 0.1",
        "lightly's benchmarks",
        "protocols.knn",
        {"k": 200, "temperature": 0.1, "shared": SHARED_NEIGHBOURS},
    ),
    Entry(
        "linear-calibration",
        1,
        "expected calibration error of linear, 15 bins of equal mass",
        "Guo 2017, arXiv:1706.04599; Roelofs 2022, arXiv:2012.08668",
        "protocols.linear_calibration",
        {**LINEAR, "bins": CALIBRATION_BINS},
        higher_is_better=False,
        metric="ece",
    ),
    Entry(
        "linear-corruptions",
        1,
        "accuracy of linear on corrupted test images, mean over 5 corruptions of 3 strengths",
        "Hendrycks & Dietterich 2019, arXiv:1903.12261",
        "protocols.linear_corruptions",
        {**LINEAR, **CORRUPTION_STRENGTHS},
        fixed_conditions=True,
    ),
    Entry(
        "clusters",
        1,
        "k-means on the test features: accuracy of the best assignment to the classes",
        "SCAN, arXiv:2005.12320",
        "protocols.clusters",
        CLUSTERING,
    ),
    _label_free("rankme", "effective rank of the features", "RankMe, arXiv:2210.02885", True),
    _label_free(
        "alignment",
        "mean squared distance between the features of two views",
        "Wang & Isola 2020, arXiv:2005.10242",
        False,
        True,
    ),
    _label_free(
        "uniformity",
        "log of the mean Gaussian potential over pairs of images, t = 2",
        "Wang & Isola 2020, arXiv:2005.10242",
        False,
    ),
    _label_free(
        "feature_std", "standard deviation of L2-normalised features times √D", "SimSiam, arXiv:2011.10566", None
    ),
)

_LABELS = r"(?P<labels>[0-9][0-9.]*(?:pct)?)"
LOWSHOT = re.compile(rf"lowshot-{_LABELS}(?P<frozen>-frozen)?(?:-(?P<head>mlp|conv))?")
SCRATCH_ID = re.compile(rf"scratch-{_LABELS}")
PSEUDOLABEL = re.compile(rf"pseudolabel-{_LABELS}")
PSEUDOLABEL_TOTAL = re.compile(r"pseudolabel-(?P<total>[1-9][0-9]*)\+(?P<unlabelled>[1-9][0-9]*)")

FAMILIES: dict[str, str] = {
    "lowshot-<labels>[-frozen][-mlp|-conv]": "the whole network, or a head on the frozen network, trained on a few labels",
    "scratch-<labels>": "the same network trained from random weights on the same labels",
    "pseudolabel-<labels>": "fine-tuning, then also on the model's own confident predictions",
    "pseudolabel-<L>+<U>": "pseudo-labels on L labelled and U unlabelled images in total",
    "transfer-<data set>-<protocol>": "knn, linear or lowshot-1pct-frozen on another data set (--measure-on)",
    "<protocol>@<constant>=<value>,…": "any protocol with changed constants, for example lowshot-1pct@training.steps=400",
}
"""Patterns of ids that describe many protocols; ``<labels>`` is ``K`` (per class) or ``Ppct`` (percent of ``train``)."""


def _lowshot(id: str, labels: Labels, frozen: bool, head: str | None) -> Entry:
    common = {"labels": labels.text, "draws": labels.draws}
    entry = Entry(id, 1, "", "", "protocols.lowshot", needs_network=True, labels=labels.text, draws=labels.draws)
    network = "the frozen network" if frozen else "the whole network fine-tuned"
    if head:
        constants = {**common, "training": HEAD_ONLY if frozen else FINETUNE_FROM_ZERO, "head": head, "start": "zero"}
        title = f"{network} with a head ({head}), {labels.title}"
        return replace(entry, title=title, source="calibrated: results/calibration", constants=constants)
    if frozen:
        return replace(
            entry,
            title=f"logistic regression on frozen features, {labels.title}",
            source="MSN, arXiv:2204.07141; its penalty calibrated: results/calibration",
            module="protocols.lowshot_frozen",
            constants={**common, "penalty": FROZEN_PENALTY, "tolerance": TOLERANCE},
            needs_network=False,
        )
    constants = {**common, "training": FINETUNE, **START}
    source = "LP-FT, arXiv:2202.10054; calibrated: results/calibration"
    return replace(entry, title=f"{network}, {labels.title}", source=source, constants=constants)


def _scratch(id: str, labels: Labels) -> Entry:
    constants = {
        "labels": labels.text,
        "draws": labels.draws,
        "training": SCRATCH,
        "encoder": "scratch",
        "head": "linear",
    }
    title = f"the same network trained from random weights, {labels.title}"
    return Entry(
        id, 1, title, "calibrated: results/calibration", "protocols.lowshot", constants, True,
        labels=labels.text, draws=labels.draws,
    )  # fmt: skip


def _pseudolabel(id: str, title: str, labels: str, draws: int, total: int | None, unlabelled: int | None) -> Entry:
    constants = {
        "labels": labels,
        "draws": draws,
        "training": FINETUNE,
        **START,
        "total_labels": total,
        "unlabelled": unlabelled,
        "threshold": 0.95,
        "begin": 0.5,
        "ramp": 0.25,
    }
    source = "Lee 2013; FixMatch, arXiv:2001.07685"
    return Entry(id, 1, title, source, "protocols.pseudolabel", constants, True, labels=labels, draws=draws)


def resolve(id: str) -> Entry:
    """Return the entry of an id: one of ``ENTRIES``, or one built from a pattern of ``FAMILIES``.

    In ``pseudolabel-<L>+<U>`` both are total numbers of images (``pseudolabel-1000+2000``): L is divided equally among the classes, and
    there are three draws.

    Raises:
        UnknownProtocol: No protocol has this id (the message suggests the nearest one), or its labels or changes cannot be read.
    """
    if id in ENTRIES:
        return ENTRIES[id]
    if len(id) > LONGEST_ID:
        raise UnknownProtocol(f"protocol '{id[:40]}…': an id has at most {LONGEST_ID} characters, not {len(id):,}")
    if SIGN in id:
        base = resolve(id.partition(SIGN)[0])
        try:
            return variant(base, id)
        except ValueError as error:
            raise UnknownProtocol(str(error)) from None
    if match := LOWSHOT.fullmatch(id):
        return _lowshot(id, _labels_of(id, match["labels"]), match["frozen"] is not None, match["head"])
    if match := SCRATCH_ID.fullmatch(id):
        return _scratch(id, _labels_of(id, match["labels"]))
    if match := PSEUDOLABEL.fullmatch(id):
        labels = _labels_of(id, match["labels"])
        return _pseudolabel(id, f"pseudo-labels from {labels.title}", labels.text, labels.draws, None, None)
    if match := PSEUDOLABEL_TOTAL.fullmatch(id):
        total, unlabelled = int(match["total"]), int(match["unlabelled"])
        title = f"pseudo-labels, {total:,} labelled and {unlabelled:,} unlabelled images"
        return _pseudolabel(id, title, f"{total} in all", 3, total, unlabelled)
    if transfer := parse_transfer(id):
        dataset, protocol = transfer
        base = resolve(protocol)
        return replace(base, id=id, title=f"{base.title}, on {dataset}", on=dataset)
    nearest = difflib.get_close_matches(id, [*ENTRIES, *FAMILIES], n=1, cutoff=0.3)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    raise UnknownProtocol(f"unknown protocol '{id}'{hint} (sslbench list protocols shows all)")


def _labels_of(id: str, text: str) -> Labels:
    """Read the labels in an id."""
    try:
        return parse_labels(text)
    except ValueError as error:
        raise UnknownProtocol(f"protocol '{id}': {error}") from None


ENTRIES: dict[str, Entry] = {entry.id: entry for entry in NAMED}
"""Every named protocol; a plugin adds its own with ``add``."""


def add(entry: Entry) -> None:
    """Add a protocol, for example one of a plugin.

    Raises:
        ValueError: Another protocol has the same id.
    """
    if ENTRIES.get(entry.id, entry) != entry:
        raise ValueError(f"protocol '{entry.id}' of {entry.module}: the id is already taken; choose another")
    ENTRIES[entry.id] = entry


for _id in DEFAULT:
    add(resolve(_id))
