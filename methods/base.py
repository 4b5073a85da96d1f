"""The contract of a method: what it declares, what it receives and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.ranges import BelowOne, Count, Fraction, NotNegative, Positive
from methods.space import Space
from methods.traits import Traits

Pooling = Literal["average", "class", "patches", "none"]
"""Mean of the feature map, class token, mean of the patch tokens, or no pooling."""
Family = Literal[
    "floor and ceiling",
    "reconstruction",
    "contrastive",
    "self-distillation",
    "redundancy and geometry",
    "clustering",
    "pretext",
    "elsewhere",
]
"""Groups of methods in listings; ``elsewhere`` is for encoders that were not pretrained by sslbench."""


@dataclass(frozen=True)
class InputSpec:
    """The input of an encoder: square images of ``size`` pixels in [0, 1], normalised by ``mean`` and ``std``."""

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Backbone(nn.Module):
    """A network without a head. The harness builds it and passes it to the method.

    Attributes:
        kind: Type of network; decides which methods accept it and which recipe they use. ``none``: no known type, or no
            parameters.
        dim: Number of features after pooling; also the number of channels of the feature map.
        pooling: Pooling that ``forward`` uses.
    """

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]]
    dim: int
    pooling: Pooling

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last feature map before pooling, or None if the network has none."""
        raise NotImplementedError

    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return pooled features.

        Raises:
            ValueError: The network does not have this pooling.
        """
        raise NotImplementedError

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return features with the network's own pooling."""
        return self.features(images, self.pooling)


class Encoder(nn.Module):
    """The network that is evaluated: a backbone, its pooling and, in some methods, a linear code layer on top.

    Attributes:
        input: How images must be prepared.
        pooling: Pooling of the backbone's features.
        code: Linear layer whose outputs are the features, or None if the backbone's features are used.
        dim: Number of features.
        map_dim: Number of channels of the feature map, if there is one.
        notes: What a reader of its row must know, one line each, for example how an encoder from elsewhere expects its images.
        lacks_statistics: Whether its batch norms get running statistics from one pass over ``train``, because its weights came without.
    """

    def __init__(
        self, backbone: Backbone, input: InputSpec, pooling: Pooling | None = None, code: nn.Linear | None = None
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.input = input
        self.pooling: Pooling = pooling or backbone.pooling
        self.code = code
        self.dim = backbone.dim if code is None else code.out_features
        self.map_dim = backbone.dim
        self.notes: tuple[str, ...] = ()
        self.lacks_statistics = False

    def untrained(self, backbone: Backbone) -> "Encoder":
        """Return the same encoder on another backbone; a code layer is initialised from torch's global generator."""
        code = None if self.code is None else nn.Linear(self.code.in_features, self.code.out_features)
        return Encoder(backbone, self.input, self.pooling, code)

    def features(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return the features of prepared images."""
        features = self.backbone.features(images, self.pooling)
        return features if self.code is None else self.code(features)

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last feature map before pooling, or None if there is none."""
        return self.backbone.feature_map(images)


@dataclass(frozen=True)
class Needs:
    """Requirements of a method, which the harness reads before it plans a run.

    Attributes:
        labels: Whether each batch contains labels (``supervised``).
        training: Whether the method is trained. If not, its encoder is evaluated as it is initialised.
        statistics: Whether batch norms get running statistics from one pass over ``train`` (for an untrained network).
        backbone: Accepted backbones; ``none`` for a method without a network, ``own`` for one that brings its own.
        one_device: Why the method cannot be trained on several devices, in a few words, or None if it can. It can if each
            process may compute the loss of the whole batch: ``parts/rows.py``.
    """

    labels: bool = False
    training: bool = True
    statistics: bool = False
    backbone: Literal["any", "convolutional", "transformer", "none", "own"] = "any"
    one_device: str | None = None


@dataclass(frozen=True)
class Recipe:
    """How a method is optimised.

    Attributes:
        version: Version of the method; increase it whenever a change of code changes results.
        optimizer: Name of the optimiser; ``lars`` is solo-learn's clipped form (``bench/training/optimizers.py``).
        rate: Peak learning rate at batch size 256; scaled linearly with the batch size.
        weight_decay: Weight decay at the start. By default biases and norms have none (``Method.parameter_groups``).
        final_weight_decay: Weight decay at the end of a cosine schedule, or None for a constant one.
        momentum: For ``sgd`` and ``lars``.
        nesterov: For ``sgd``.
        betas: For ``adam`` and ``adamw``.
        clip: Largest global gradient norm, or None for no clipping.
        warmup: Length of the linear warm-up from zero, as a fraction of all steps.
        schedule: Learning rate after the warm-up: a cosine to zero, or constant.
    """

    version: Count
    optimizer: Literal["sgd", "lars", "adam", "adamw"] = "sgd"
    rate: Positive = 0.06
    weight_decay: NotNegative = 0.0
    final_weight_decay: NotNegative | None = None
    momentum: BelowOne = 0.9
    nesterov: bool = False
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    clip: Positive | None = None
    warmup: Fraction = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"

    def __post_init__(self) -> None:
        """Check that Nesterov's momentum has a momentum."""
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=True needs a momentum above 0: set recipe.momentum, for example to 0.9")


class Batch(NamedTuple):
    """One pretraining batch of B images.

    Attributes:
        views: Outputs of the pipeline, in its order. Images are normalised float32 B×C×H×W, the P tiles of a jigsaw
            B×P×C×H×W; other tensors, such as lightly's location grids, are unchanged.
        masks: What the function returned by ``Method.collate`` drew for this batch, on the batch's device, or None.
        indices: Position of each image in the pretraining set, int64 B.
        labels: int64 B if ``needs.labels``, else None.
        generator: Random generator on the batch's device, seeded from the run's seed and the step.
    """

    views: list[Tensor]
    masks: Any
    indices: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"] | None
    generator: torch.Generator


class Loss(NamedTuple):
    """The loss to minimise, a float32 scalar, and named parts of it for the log."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]


@dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


class Method(nn.Module):
    """A self-supervised method. Subclass it once in a file of its own; the file's name is the method's id.

    A subclass declares ``title``, ``paper``, ``family`` and ``recipe``. If it is trained, it also implements ``views``
    and ``forward``. Everything else has a default.

    A method knows no data set, device, file or epoch. It receives the data set's traits, and its schedules depend only
    on ``progress``, which rises from 0 to 1 over the training. All its state (teacher, queue, centre) is kept in
    parameters, buffers and submodules, so that a run resumes from ``state_dict`` alone.

    Attributes:
        title: Name of the method in tables.
        paper: Link to the paper.
        family: Group of methods that it belongs to.
        needs: Requirements: labels, training, kind of backbone.
        recipe: How it is optimised.
        transformer_recipe: Recipe on a transformer if another one is published, with the same version as ``recipe``.
        space: What ``sslbench tune`` may change, at most four settings; a method without one cannot be tuned.
        Settings: Frozen dataclass of the method's own settings, and the only place of their defaults. The option
            ``--set`` changes a field.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    family: ClassVar[Family]
    needs: ClassVar[Needs] = Needs()
    recipe: ClassVar[Recipe]
    transformer_recipe: ClassVar[Recipe | None] = None
    space: ClassVar[Space] = MappingProxyType({})
    Settings: ClassVar[type[Any]] = NoSettings

    def __init__(self, backbone: Backbone | None, settings: Any, traits: Traits) -> None:
        """Build the method's modules on a backbone.

        Args:
            backbone: The network to train; None only if ``needs.backbone`` is ``none`` or ``own``.
            settings: An instance of ``Settings``.
            traits: Properties of the data set.
        """
        super().__init__()
        if backbone is None:
            raise ValueError(f"{type(self).__name__} needs a backbone.")
        self.backbone = backbone
        self.settings = settings
        self.traits = traits

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return the augmentation pipeline, usually one of lightly's.

        It takes a PIL image and returns its views as tensors in [0, 1]; the harness normalises them. A pipeline whose
        steps the harness knows runs on whole batches on the device, any other on single images in worker processes.
        """
        raise NotImplementedError

    @classmethod
    def collate(cls, settings: Any, traits: Traits) -> Callable[[int, torch.Generator], Any] | None:
        """Return a function of (batch size, CPU generator) that draws the masks of a batch, or None if there are none.

        It returns a tensor, or nested lists, tuples or dicts of tensors. The harness moves them to the device without
        waiting for it; they are ``Batch.masks``. On a GPU the masks of sslbench's own methods are drawn ahead by a second process.
        """
        return None

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the loss of one batch, in float32 even if the network runs in bf16.

        Operations that wait for the device (``.item()``, ``nonzero``, indexing with a boolean mask) slow down every
        step.
        """
        raise NotImplementedError

    def before_step(self, progress: float) -> None:
        """Run between backward pass and optimiser step, for example to drop the gradient of a frozen layer."""

    def after_step(self, progress: float) -> None:
        """Run after the optimiser's step, for example to update the teacher; ``progress`` is 1 after the last step."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of the optimiser.

        By default weight decay and the adaptation of LARS apply to the weights of linear layers (two dimensions) and
        convolutions (four), but not to biases and norms (one), class tokens and positions (three).

        A group may carry ``weight_decay``, which replaces the recipe's; ``adapt``, which is False for plain SGD within
        LARS; ``rate_scale``, a factor on the learning rate; and ``schedule``, which is ``constant`` for a learning rate
        without warm-up and cosine.
        """
        trained = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim in (2, 4)]},
            {"params": [p for p in trained if p.ndim not in (2, 4)], "weight_decay": 0.0, "adapt": False},
        ]

    def encoder(self) -> Encoder:
        """Return the encoder to evaluate: by default the backbone with the data set's normalisation."""
        return Encoder(self.backbone, input_of(self.traits))


def input_of(traits: Traits) -> InputSpec:
    """Return the input of a network trained by sslbench: size, channels, mean and std of the data set."""
    return InputSpec(traits.size, traits.channels, traits.mean, traits.std)
