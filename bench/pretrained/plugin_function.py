"""A function of a plugin that returns a network: ``--plugin my_encoder.py``."""

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
from bench.pretrained.method import Built
from bench.pretrained.wrapped_backbone import Network, from_random_start
from methods.base import InputSpec
from methods.traits import Traits

INPUT = ("mean", "std", "size")


@dataclass(frozen=True)
class Function:
    """A function without arguments that returns a module.

    Attributes:
        name: Of the plugin.
        call: The function.
        input: The plugin's ``INPUT``: ``mean``, ``std``, ``size``, each optional.
        source: Text of the plugin.
    """

    name: str
    call: Callable[[], Any]
    input: Mapping[str, Any]
    source: str
    title: str = "A network that a plugin returns"
    paper: str = "none: the plugin"

    def backbone(self) -> None:
        """Return None: the network is the plugin's."""

    def digest(self) -> str:
        """Return the hash of the plugin's text and of its network's weights."""
        digest = hashlib.sha256(self.source.encode())
        for name, tensor in self._module().state_dict().items():
            digest.update(name.encode() + str(tensor.dtype).encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def build(self, traits: Traits, size: int | None) -> Built:
        """Build it; what ``INPUT`` does not say is the data set's."""
        net = self._module()
        spec, backbone = self._fitting(net, traits, size)
        start = copy.deepcopy(net)

        def untrained() -> Network:
            fresh = copy.deepcopy(start)
            from_random_start(fresh, self.name)
            return Network(fresh, (spec.channels, spec.size, spec.size), self.name)

        return Built(backbone, spec, backbone.pooling, untrained)

    def _module(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            # The same numbers at every call, also where some weights are drawn at random.
            torch.manual_seed(0)
            try:
                found = self.call()
            except Exception as error:  # whatever somebody's function does
                raise SslbenchError(self._wrong(error)) from error
        if not isinstance(found, nn.Module):
            raise SslbenchError(f"plugin {self.name}: returned {type(found).__name__}; it must return an nn.Module")
        return found.eval()

    def _fitting(self, net: nn.Module, traits: Traits, size: int | None) -> tuple[InputSpec, Network]:
        """Return the input and the backbone: three channels also for grey images where the network takes no other."""
        problem: Exception | None = None
        for spec in self._inputs(traits, size):
            try:
                return spec, Network(net, (spec.channels, spec.size, spec.size), f"plugin {self.name}")
            except SslbenchError:
                raise
            except Exception as error:  # whatever somebody's network raises for a shape it does not take
                problem = problem or error
        assert problem is not None
        raise SslbenchError(self._wrong(problem)) from problem

    def _inputs(self, traits: Traits, size: int | None) -> list[InputSpec]:
        for key in self.input:
            if key not in INPUT:
                raise unknown(f"entry of INPUT in plugin {self.name}", key, INPUT)
        side = size or self.input.get("size", traits.size)
        mean, std = (self._numbers(key, getattr(traits, key)) for key in ("mean", "std"))
        if len(mean) != len(std) or len(mean) not in (traits.channels, 3) or not isinstance(side, int):
            raise SslbenchError(
                f"plugin {self.name}: INPUT must hold an integer size, and a mean and a std of 3 values each "
                f"(or of the data set's {traits.channels})"
            )
        first = InputSpec(side, len(mean), mean, std)
        return [first] if len(mean) == 3 else [first, InputSpec(side, 3, mean * 3, std * 3)]

    def _numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        try:
            return tuple(float(value) for value in self.input.get(key, default))
        except (TypeError, ValueError) as error:
            raise SslbenchError(f"plugin {self.name}: INPUT's {key} must be numbers, one a channel") from error

    def _wrong(self, error: Exception) -> str:
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"plugin {self.name}: {type(error).__name__}: {line}"


def function_of(module: ModuleType) -> Function | None:
    """Return the encoder that a plugin brings: its one public function without arguments; None where it has none.

    Raises:
        SslbenchError: It has several.
    """
    name = module.__name__.rpartition(".")[2]
    found = [
        function
        for key, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not key.startswith("_") and not _required(function)
    ]
    if len(found) > 1:
        raise SslbenchError(
            f"plugin {name}: has {len(found)} public functions without arguments "
            f"({', '.join(f.__name__ for f in found)}); one returns the encoder, name the others with a leading _"
        )
    if not found:
        return None
    described = getattr(module, "INPUT", {})
    if not isinstance(described, Mapping):
        raise SslbenchError(f"plugin {name}: INPUT must be a dict with {', '.join(INPUT)}")
    return Function(name, found[0], dict(described), inspect.getsource(module))


def _required(function: Callable[..., Any]) -> bool:
    return any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )
