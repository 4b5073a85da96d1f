"""An encoder that a plugin's function returns: ``--plugin my_encoder.py``."""

import copy
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bench.errors import SslbenchError, unknown
from bench.foreign_code import blamed_on
from bench.pretrained.image_input import OF_THE_DATA_SET, PretrainedSettings, chosen_input
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.notes import seen_before
from bench.pretrained.wrapped_backbone import Network, from_random_start
from methods.base import InputSpec
from methods.traits import Traits

INPUT = ("mean", "std", "size")
"""Keys that a plugin's ``INPUT`` may have."""


@dataclass(frozen=True)
class EncoderFunction:
    """A plugin's function without arguments that returns a module.

    Attributes:
        name: Name of the plugin.
        call: The function.
        input: The plugin's ``INPUT``: ``mean``, ``std``, ``size``, each optional.
        source: Source code of the plugin.
    """

    name: str
    call: Callable[[], Any]
    input: Mapping[str, Any]
    source: str
    title: str = "A network that a plugin returns"
    paper: str = "none: the plugin"

    def backbone(self) -> None:
        """Return None: the plugin brings its own network."""

    def digest(self) -> str:
        """Return the hash of the plugin's source code and of its network's weights."""
        digest = hashlib.sha256(self.source.encode())
        for name, tensor in self._module().state_dict().items():
            digest.update(name.encode() + str(tensor.dtype).encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def build(self, traits: Traits, settings: PretrainedSettings) -> BuiltEncoder:
        """Build the network; the data set's values replace those that ``INPUT`` lacks."""
        net = self._module()
        spec, backbone = self._input_and_backbone(net, traits, settings.size)
        whose = "the plugin's INPUT" if {"mean", "std"} <= self.input.keys() else OF_THE_DATA_SET
        spec, normalisation = chosen_input(spec, whose, settings, traits, f"plugin {self.name}")
        start = copy.deepcopy(net)

        def untrained() -> Network:
            fresh = copy.deepcopy(start)
            from_random_start(fresh, self.name)
            return Network(fresh, (spec.channels, spec.size, spec.size), self.name)

        notes = (normalisation, *seen_before(None, traits, settings.saw))
        return BuiltEncoder(backbone, spec, backbone.pooling, untrained, notes, (self.name,))

    def _module(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            # Randomly drawn weights are the same at every call.
            torch.manual_seed(0)
            with blamed_on(f"plugin {self.name}"):
                found = self.call()
        if not isinstance(found, nn.Module):
            raise SslbenchError(f"plugin {self.name}: returned {type(found).__name__}; it must return an nn.Module")
        return found.eval()

    def _input_and_backbone(self, net: nn.Module, traits: Traits, size: int | None) -> tuple[InputSpec, Network]:
        """Return the input and the backbone; grey images get three channels if the network accepts only those."""
        problem: BaseException | None = None
        for spec in self._inputs(traits, size):
            try:
                return spec, Network(net, (spec.channels, spec.size, spec.size), f"plugin {self.name}")
            except (SslbenchError, KeyboardInterrupt):
                raise
            except BaseException as error:  # a user's network may raise anything for a shape that it does not accept
                problem = problem or error
        assert problem is not None
        with blamed_on(f"plugin {self.name}"):
            raise problem

    def _inputs(self, traits: Traits, size: int | None) -> list[InputSpec]:
        for key in self.input:
            if key not in INPUT:
                raise unknown(f"entry of INPUT in plugin {self.name}", key, INPUT)
        if ("mean" in self.input) != ("std" in self.input):
            raise SslbenchError(f"plugin {self.name}: INPUT must have both mean and std, or neither")
        side = self.input.get("size", traits.size) if size is None else size
        mean, std = (self._numbers(key, getattr(traits, key)) for key in ("mean", "std"))
        if len(mean) != len(std) or len(mean) not in (traits.channels, 3) or not isinstance(side, int):
            raise SslbenchError(
                f"plugin {self.name}: INPUT must have an integer size, and a mean and a std of 3 values each "
                f"(or of the data set's {traits.channels})"
            )
        first = InputSpec(side, len(mean), mean, std)
        return [first] if len(mean) == 3 else [first, InputSpec(side, 3, mean * 3, std * 3)]

    def _numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        try:
            return tuple(float(value) for value in self.input.get(key, default))
        except (TypeError, ValueError) as error:
            raise SslbenchError(f"plugin {self.name}: INPUT's {key} must be numbers, one per channel") from error


def find_encoder_function(module: ModuleType) -> EncoderFunction | None:
    """Return the encoder of a plugin, its only public function without arguments; None if it has no such function.

    Raises:
        SslbenchError: It has several, or an ``INPUT`` that is not a dict.
    """
    name = module.__name__.rpartition(".")[2]
    found = [
        function
        for key, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not key.startswith("_") and not _has_required_argument(function)
    ]
    if len(found) > 1:
        raise SslbenchError(
            f"plugin {name}: has {len(found)} public functions without arguments "
            f"({', '.join(f.__name__ for f in found)}); start the names of all but the encoder's with _"
        )
    if not found:
        return None
    declared = getattr(module, "INPUT", {})
    if not isinstance(declared, Mapping):
        raise SslbenchError(f"plugin {name}: INPUT must be a dict with {', '.join(INPUT)}")
    return EncoderFunction(name, found[0], dict(declared), inspect.getsource(module))


def _has_required_argument(function: Callable[..., Any]) -> bool:
    return any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )
