"""An encoder from elsewhere as a method without training: what the harness asks of it, whatever it comes from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from typing import Protocol as Interface

from torch import nn

from bench.errors import SslbenchError
from bench.filenames import slug
from methods.base import Backbone, Encoder, Family, InputSpec, Method, Needs, Pooling, Recipe
from methods.traits import Traits


@dataclass(frozen=True)
class Built:
    """An encoder that was built.

    Attributes:
        backbone: With its weights.
        input: What it expects.
        pooling: How its features are pooled.
        untrained: Returns the same network from a random start, drawn from torch's global generator.
        notes: Lines that the user should read: what of a file did not fit.
        code: A linear layer on the backbone whose outputs are the features, or None.
    """

    backbone: Backbone
    input: InputSpec
    pooling: Pooling
    untrained: Callable[[], Backbone]
    notes: tuple[str, ...] = ()
    code: nn.Linear | None = None


class Origin(Interface):
    """Where an encoder comes from."""

    @property
    def name(self) -> str:
        """As tables name it, without folders."""

    @property
    def title(self) -> str:
        """One line on what it is."""

    @property
    def paper(self) -> str:
        """A link."""

    def backbone(self) -> str | None:
        """Return the backbone of ours that it is, or None for a network of its own."""

    def digest(self) -> str:
        """Return a hex hash of all that decides its features."""

    def build(self, traits: Traits, size: int | None) -> Built:
        """Build it for images of a data set, resized to ``size`` where it is given."""


@dataclass(frozen=True)
class Resized:
    """Settings of an encoder from elsewhere.

    Attributes:
        size: Side in pixels that images are resized to; None for the data set's where the network takes it.
    """

    size: int | None = None


class OwnEncoder(Encoder):
    """An encoder that knows how to build its network again from a random start."""

    def __init__(self, built: Built) -> None:
        super().__init__(built.backbone, built.input, built.pooling, built.code)
        self.untrained_backbone = built.untrained

    def from_random_start(self) -> Encoder:
        """Return the same network from a random start, drawn from torch's global generator."""
        return self.untrained(self.untrained_backbone())


class FromElsewhere(Method):
    """The base of all; ``method_of`` makes the class of one origin."""

    family: ClassVar[Family] = "elsewhere"
    needs: ClassVar[Needs] = Needs(training=False, backbone="own")
    recipe: ClassVar[Recipe] = Recipe(version=1)
    Settings: ClassVar[type[Any]] = Resized
    origin: ClassVar[Origin]
    planned: ClassVar[str | None] = None
    """The name of its records as planned; a file that changed since is an error."""

    def __init__(self, backbone: Backbone | None, settings: Resized, traits: Traits) -> None:
        if self.planned not in (None, record_name(self.origin)):
            raise SslbenchError(f"{self.origin.name}: changed since the run was planned; give the command again")
        self.built = self.origin.build(traits, settings.size)
        super().__init__(self.built.backbone, settings, traits)

    def encoder(self) -> Encoder:
        """Return the encoder as it came."""
        return OwnEncoder(self.built)


def record_name(origin: Origin) -> str:
    """Return the name of its records: readable, with eight hex digits of the content's hash."""
    return slug(origin.name, origin.digest())


def method_of(origin: Origin, planned: str | None = None) -> type[FromElsewhere]:
    """Return the method that measures one encoder."""
    of = {"origin": origin, "planned": planned, "title": origin.title, "paper": origin.paper, "__module__": __name__}
    return type("Elsewhere", (FromElsewhere,), of)
