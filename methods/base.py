"""The contract of a method: what it declares, what it is handed, what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from methods.traits import Traits

Pooling = Literal["average", "class", "patches", "none"]
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


@dataclass(frozen=True)
class InputSpec:
    """What an encoder expects: a square image of ``size`` pixels, normalised by ``mean`` and ``std`` of [0, 1] pixels."""

    size: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Backbone(nn.Module):
    """A network without a head, built by the harness and handed to a method.

    Attributes:
        kind: What the planner and a method's recipe depend on; ``none`` for what has no parameters.
        dim: Number of features after pooling; also the channels of the feature map.
        pooling: How ``forward`` pools unless told otherwise.
    """

    kind: ClassVar[Literal["convolutional", "transformer", "mlp", "none"]]
    dim: int
    pooling: Pooling

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last map before pooling, or None where the network has none."""
        raise NotImplementedError

    def features(
        self, images: Float[Tensor, "batch channels size size"], pooling: Pooling
    ) -> Float[Tensor, "batch dim"]:
        """Return pooled features; raises ValueError for a pooling that the network does not have."""
        raise NotImplementedError

    def forward(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return features with the network's own pooling."""
        return self.features(images, self.pooling)


class Encoder(nn.Module):
    """What is evaluated: a backbone with the pooling that its method declares, and a linear code where the method has one.

    Attributes:
        input: How images must be prepared for it.
        pooling: How the backbone's features are pooled.
        code: A linear layer on the backbone whose outputs are the features, or None: the backbone's are.
        dim: Number of features.
        map_dim: Channels of the feature map, where there is one.
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

    def untrained(self, backbone: Backbone) -> "Encoder":
        """Return an encoder of this form on another backbone; its code is drawn from torch's global generator."""
        code = None if self.code is None else nn.Linear(self.code.in_features, self.code.out_features)
        return Encoder(backbone, self.input, self.pooling, code)

    def features(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim"]:
        """Return the features of prepared images."""
        features = self.backbone.features(images, self.pooling)
        return features if self.code is None else self.code(features)

    def feature_map(self, images: Float[Tensor, "batch channels size size"]) -> Float[Tensor, "batch dim h w"] | None:
        """Return the last map before pooling, or None where there is none."""
        return self.backbone.feature_map(images)


@dataclass(frozen=True)
class Needs:
    """What a method needs, for the planner.

    Attributes:
        labels: It is handed the labels of its batch (``supervised``).
        training: It is trained; without, the encoder is evaluated as it is built.
        statistics: Its batch norms get running statistics from one pass over ``train`` (an untrained network).
        backbone: Which backbones it takes; ``none`` for a method without a network, ``own`` for one that brings its own.
    """

    labels: bool = False
    training: bool = True
    statistics: bool = False
    backbone: Literal["any", "convolutional", "transformer", "none", "own"] = "any"


@dataclass(frozen=True)
class Recipe:
    """How a method is optimised; ``version`` goes up whenever a change of its code changes results.

    Attributes:
        version: The version of the method.
        optimizer: ``lars`` is the clipped form of solo-learn (``bench/training/optimizers.py``).
        rate: Peak learning rate for 256 images; scaled linearly with the batch.
        weight_decay: At the start; bias and norm parameters have none unless ``parameter_groups`` says otherwise.
        final_weight_decay: At the end of a cosine, or None for a constant one.
        momentum: For ``sgd`` and ``lars``.
        nesterov: For ``sgd``.
        betas: For ``adam`` and ``adamw``.
        clip: Largest global gradient norm, or None.
        warmup: Linear warm-up from zero, as a fraction of all steps.
        schedule: After the warm-up: a cosine to zero, or constant.
    """

    version: int
    optimizer: Literal["sgd", "lars", "adam", "adamw"] = "sgd"
    rate: float = 0.06
    weight_decay: float = 0.0
    final_weight_decay: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float | None = None
    warmup: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"


class Batch(NamedTuple):
    """One batch of pretraining.

    Attributes:
        views: In the order of the pipeline. Images are float32 B×C×H×W, normalised; jigsaws B×P×C×H×W; wide_table as lightly gives them.
        masks: What the method's ``collate`` drew for this batch, or None.
        indices: Position of each image in the pretraining set, int64 B.
        labels: int64 B where ``needs.labels``, else None.
        generator: For random numbers on the batch's device; derived from the run's seed and the step.
    """

    views: list[Tensor]
    masks: Any
    indices: Int[Tensor, " batch"]
    labels: Int[Tensor, " batch"] | None
    generator: torch.Generator


class Loss(NamedTuple):
    """The total to minimise (a float32 scalar) and named parts to log."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]


@dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


class Method(nn.Module):
    """One self-supervised method.

    It knows no data set, device, file or epoch: ``progress`` runs from 0 to 1 over the training and is all that a
    schedule depends on. What it remembers (teacher, queue, centre) lives in buffers or modules that ``state_dict`` holds.
    """

    title: ClassVar[str]
    paper: ClassVar[str]
    family: ClassVar[Family]
    needs: ClassVar[Needs] = Needs()
    recipe: ClassVar[Recipe]
    transformer_recipe: ClassVar[Recipe | None] = None
    """The recipe on a transformer, where another is published; same version as ``recipe``."""

    Settings: ClassVar[type[Any]] = NoSettings
    """A frozen dataclass of what is particular to the method; the defaults stand there and nowhere else."""

    def __init__(self, backbone: Backbone | None, settings: Any, traits: Traits) -> None:
        super().__init__()
        if backbone is None:
            raise ValueError(f"{type(self).__name__} needs a backbone.")
        self.backbone = backbone
        self.settings = settings
        self.traits = traits

    @classmethod
    def views(cls, settings: Any, traits: Traits) -> Callable[[Any], Any]:
        """Return a lightly pipeline that takes a PIL image, without normalisation.

        The harness compiles it into a batched program where it knows every step, else runs it in workers. Settings
        are handed over too, so that ``--set`` can change an augmentation.
        """
        raise NotImplementedError

    @classmethod
    def collate(cls, settings: Any, traits: Traits) -> Callable[[int, torch.Generator], Any] | None:
        """Return what draws once a batch (block masks) from (batch size, CPU generator), or None."""
        return None

    def forward(self, batch: Batch, progress: float) -> Loss:
        """Return the loss of one batch; float32 even where the network runs in bf16."""
        raise NotImplementedError

    def before_step(self, progress: float) -> None:
        """Run between backward and the optimiser's step, for example to cancel the gradient of a frozen layer."""

    def after_step(self, progress: float) -> None:
        """Run after the optimiser's step: move the teacher, normalise prototypes."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return optimiser groups; by default only the weights of layers decay and adapt.

        A linear layer's weight has two dimensions, a convolution's four; biases and norms have one, class tokens and positions three.
        A group may also carry ``rate_scale``, a factor on the rate, and ``schedule``, ``constant`` for a rate without warm-up or cosine.
        """
        trained = [p for p in self.parameters() if p.requires_grad]
        return [
            {"params": [p for p in trained if p.ndim in (2, 4)]},
            {"params": [p for p in trained if p.ndim not in (2, 4)], "weight_decay": 0.0, "adapt": False},
        ]

    def encoder(self) -> Encoder:
        """Return what is evaluated: by default the backbone, normalised by the data set's mean and deviation."""
        return Encoder(self.backbone, input_of(self.traits))


def input_of(traits: Traits) -> InputSpec:
    """Return the input specification of our own networks: the data set's size, mean and deviation."""
    return InputSpec(traits.size, traits.channels, traits.mean, traits.std)
