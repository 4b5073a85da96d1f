"""Encoders from timm: weights from its local cache or a file, images prepared by the model's own configuration."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.errors import SslbenchError, unknown
from bench.pretrained import weights_file
from bench.pretrained.image_input import PretrainedSettings, checked_input, chosen_input
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.names import TIMM
from bench.pretrained.notes import measured_statistics, seen_before
from bench.pretrained.timm_weights import load_weights
from bench.pretrained.wrapped_backbone import Network
from bench.printable import printable
from methods.base import InputSpec
from methods.traits import Traits

_IMAGENET = re.compile(r"imagenet|in(1k|12k|21k|22k)|lvd\d+m|mae\b|dino\b", re.IGNORECASE)
"""Tags of timm's weights that were pretrained on ImageNet or on a set that contains it: supervised, MAE, DINO, and LVD-142M of DINOv2."""
_IMAGENET_CLASSES = {1000, 11821, 21841, 21843}
"""Numbers of classes of ImageNet-1k, -12k and -21k."""


@dataclass(frozen=True)
class TimmModel:
    """A timm model.

    Attributes:
        model: Its name, optionally with the tag of its weights: ``resnet18.a1_in1k``.
        file: The file of weights; None for timm's cache.
    """

    model: str
    file: Path | None
    title: str = "A timm model with its weights"
    paper: str = "https://github.com/huggingface/pytorch-image-models"

    @property
    def name(self) -> str:
        """``timm:`` and the model's name."""
        return TIMM + self.model

    def backbone(self) -> None:
        """Return None: timm brings the network."""

    def digest(self) -> str:
        """Return the hash of the file of weights."""
        return weights_file.digest(self.file or _cached(self.model))

    def build(self, traits: Traits, settings: PretrainedSettings) -> BuiltEncoder:
        """Build the model for the data set's image size if it accepts that, else for its own size.

        With ``settings.size``, a model that is built for one size only (a ViT) is built for this one, and timm resamples its positions.
        """
        _check(self.model)
        path = self.file or _cached(self.model)
        net, arguments, spec = self._network(traits, settings)
        loaded = load_weights(net, self.model, path, arguments)
        spec, normalisation = chosen_input(spec, "the model's configuration", settings, traits, self.name)
        backbone = Network(net, (spec.channels, spec.size, spec.size), self.name, _feature_map)
        notes = [normalisation, *loaded.notes]
        if loaded.lacks_statistics:
            notes.append(measured_statistics(traits))
        notes += seen_before(_pretrained_on(net) if self.file is None else None, traits, settings.saw)

        def untrained() -> Network:
            fresh = _create(self.model, arguments)
            return Network(fresh, (spec.channels, spec.size, spec.size), self.name, _feature_map)

        return BuiltEncoder(
            backbone,
            spec,
            backbone.pooling,
            untrained,
            notes=tuple(notes),
            loaded=loaded.lines,
            lacks_statistics=loaded.lacks_statistics,
        )

    def _network(self, traits: Traits, settings: PretrainedSettings) -> tuple[nn.Module, dict[str, Any], InputSpec]:
        """Return the model with random weights, the arguments with which it was created, and its input without ``--set``."""
        net = _create(self.model, {})
        configured: dict[str, Any] = vars(net)["pretrained_cfg"]
        channels, own, _ = configured["input_size"]
        mean, std = (tuple(map(float, configured[name])) for name in ("mean", "std"))
        side = traits.size if settings.size is None else settings.size
        spec = checked_input(InputSpec(side, channels, mean, std), self.name)
        refused = self._refuses(net, spec)
        if refused is not None and settings.size is None:
            return net, {}, InputSpec(own, channels, mean, std)
        if side != own:
            # Built for this size, a transformer gets the positions of a file of this size as they are.
            arguments = {"img_size": side}
            try:
                resized = _create(self.model, arguments)
            except SslbenchError:  # a network without this argument
                resized = None
            if resized is not None and self._refuses(resized, spec) is None:
                return resized, arguments, spec
        if refused is not None:
            raise SslbenchError(
                f"{self.name}: does not accept images of {side} pixels ({_first_line(refused)}); its own size is {own}"
            )
        return net, {}, spec

    def _refuses(self, net: nn.Module, spec: InputSpec) -> Exception | None:
        """Return the error with which a network refuses images of this size; None if it accepts them."""
        patch = _patch_size(net)
        if spec.size % patch:
            return ValueError(f"they cannot be cut into patches of {patch}")
        try:
            Network(net, (spec.channels, spec.size, spec.size), self.name, _feature_map)
        except SslbenchError:
            raise
        except Exception as error:  # timm's models refuse a size by errors of many types
            return error
        return None


def _create(model: str, arguments: dict[str, Any]) -> nn.Module:
    """Return a timm model without its classifier, with random weights."""
    import timm

    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        net: nn.Module = timm.create_model(model, pretrained=False, num_classes=0, **arguments)
    except Exception as error:  # a model without a removable classifier or with another argument fails in many ways
        raise SslbenchError(f"{TIMM}{model}: cannot be built: {_first_line(error)}") from error
    return net


def _check(model: str) -> None:
    import timm

    if not timm.is_model(model):
        raise unknown("timm model", model, [*timm.list_models(), *timm.list_models(pretrained=True)])
    tag = model.partition(".")[2]
    if tag and model not in (known := timm.list_pretrained(f"{model.partition('.')[0]}.*")):
        raise unknown("timm weights", model, known)


def _cached(model: str) -> Path:
    """Return the file of a model's weights in the caches that timm uses; nothing is downloaded."""
    import timm
    from huggingface_hub import try_to_load_from_cache

    _check(model)
    configured = timm.get_pretrained_cfg(model)
    if configured is not None and configured.hf_hub_id:
        names = (configured.hf_hub_filename, "model.safetensors", "pytorch_model.bin")
        for name in filter(None, names):
            found = try_to_load_from_cache(configured.hf_hub_id, name)
            if isinstance(found, str):
                return Path(found)
    if configured is not None and isinstance(configured.url, str):
        downloaded = Path(torch.hub.get_dir()) / "checkpoints" / configured.url.rpartition("/")[2]
        if downloaded.is_file():
            return downloaded
    raise SslbenchError(
        f"{TIMM}{model}: its weights are not in timm's local cache; name a file, {TIMM}{model}@FILE, or download them once: "
        f"python -c \"import timm; timm.create_model('{model}', pretrained=True)\""
    )


def _pretrained_on(net: nn.Module) -> str | None:
    """Return ImageNet if the configuration of timm's own weights tells so; None if it does not."""
    configured: dict[str, Any] = vars(net)["pretrained_cfg"]
    known = configured.get("num_classes") in _IMAGENET_CLASSES or _IMAGENET.search(configured.get("tag") or "")
    return "ImageNet" if known else None


def _patch_size(net: nn.Module) -> int:
    """Return the side of a transformer's patches in pixels; 1 for any other network."""
    found = getattr(getattr(net, "patch_embed", None), "patch_size", 1)
    side = found[0] if isinstance(found, tuple) else found
    return side if isinstance(side, int) else 1


def _feature_map(net: nn.Module, images: Tensor) -> Tensor | None:
    """Return a timm network's last feature map as B×C×h×w, also from tokens if they form a square grid; else None."""
    found = cast(Any, net).forward_features(images)
    if not isinstance(found, Tensor):
        return None
    if found.ndim == 4 and getattr(net, "output_fmt", "NCHW") == "NHWC":
        return found.permute(0, 3, 1, 2)
    if found.ndim == 3:
        patches = found[:, getattr(net, "num_prefix_tokens", 0) :]
        side = round(patches.shape[1] ** 0.5)
        return patches.transpose(1, 2).reshape(len(images), -1, side, side) if side**2 == patches.shape[1] else None
    return found


def _first_line(error: BaseException) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 200)
