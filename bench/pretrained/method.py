"""An encoder pretrained elsewhere as a method without training, and the interface of its origins."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from typing import Protocol as Interface

from torch import nn

from bench.errors import SslbenchError
from bench.filenames import slug
from bench.pretrained.image_input import PretrainedSettings
from methods.base import Backbone, Encoder, Family, InputSpec, Method, Needs, Pooling, Recipe
from methods.traits import Traits


@dataclass(frozen=True)
class BuiltEncoder:
    """A network with its weights, and how images are prepared for it.

    Attributes:
        backbone: The network with its weights.
        input: The image size, channels and normalisation that it expects.
        pooling: How its features are pooled.
        untrained: Returns the same network with random weights, drawn from torch's global generator.
        notes: What a reader of its row must know, one line each; kept in its records.
        loaded: Lines for the user: which tensors of a file were used.
        code: A linear layer on top of the backbone whose outputs are the features, or None.
        lacks_statistics: Whether its weights came without the running statistics of batch norms.
    """

    backbone: Backbone
    input: InputSpec
    pooling: Pooling
    untrained: Callable[[], Backbone]
    notes: tuple[str, ...] = ()
    loaded: tuple[str, ...] = ()
    code: nn.Linear | None = None
    lacks_statistics: bool = False

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines to print before its runs start."""
        return (*self.loaded, *(f"  {note}" for note in self.notes))


class Origin(Interface):
    """Source of an encoder: timm, a checkpoint file or a plugin function."""

    @property
    def name(self) -> str:
        """The name shown in tables, without folders."""

    @property
    def title(self) -> str:
        """One line that describes it."""

    @property
    def paper(self) -> str:
        """A link to the paper or the project."""

    def backbone(self) -> str | None:
        """Return the name of its backbone in the catalogue, or None if it brings another network."""

    def digest(self) -> str:
        """Return a hex hash of everything that its features depend on."""

    def build(self, traits: Traits, settings: PretrainedSettings) -> BuiltEncoder:
        """Build it for a data set's images, prepared as the settings say.

        Raises:
            SslbenchError: Its weights do not fit, or the network does not accept these images.
        """


class RestartableEncoder(Encoder):
    """An encoder that can rebuild its network with random weights."""

    def __init__(self, built: BuiltEncoder) -> None:
        super().__init__(built.backbone, built.input, built.pooling, built.code)
        self.untrained_backbone = built.untrained
        self.notes = built.notes
        self.lacks_statistics = built.lacks_statistics

    def from_random_start(self) -> Encoder:
        """Return the same network with random weights, drawn from torch's global generator."""
        return self.untrained(self.untrained_backbone())


class PretrainedEncoder(Method):
    """Base class of methods that only load an encoder; ``method_of`` makes the class for one origin."""

    family: ClassVar[Family] = "elsewhere"
    needs: ClassVar[Needs] = Needs(training=False, backbone="own")
    recipe: ClassVar[Recipe] = Recipe(version=2)
    Settings: ClassVar[type[Any]] = PretrainedSettings
    origin: ClassVar[Origin]
    planned: ClassVar[str | None] = None
    """Record name at planning time; it is an error if the content has changed since. None if not planned."""

    def __init__(self, backbone: Backbone | None, settings: PretrainedSettings, traits: Traits) -> None:
        if self.planned not in (None, record_name(self.origin)):
            raise SslbenchError(f"{self.origin.name}: changed after the run was planned; run the command again")
        self.built = self.origin.build(traits, settings)
        super().__init__(self.built.backbone, settings, traits)

    def encoder(self) -> Encoder:
        """Return the encoder with the weights that were loaded."""
        return RestartableEncoder(self.built)


def record_name(origin: Origin) -> str:
    """Return the method name in its records: readable, with eight hex digits of the content's hash."""
    return slug(origin.name, origin.digest())


def method_of(origin: Origin, planned: str | None = None) -> type[PretrainedEncoder]:
    """Return the method class for one origin; ``planned`` is the record name at planning time."""
    attributes = {
        "origin": origin,
        "planned": planned,
        "title": origin.title,
        "paper": origin.paper,
        "__module__": __name__,
    }
    return type("PretrainedEncoder", (PretrainedEncoder,), attributes)
