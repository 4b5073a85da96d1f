"""Encoders from timm: weights from its local cache or a file, images prepared by the model's own configuration."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.errors import SslbenchError, unknown
from bench.pretrained import weight_matching, weights_file
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.names import TIMM
from bench.pretrained.wrapped_backbone import Network
from methods.base import InputSpec
from methods.traits import Traits


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

    def build(self, traits: Traits, size: int | None) -> BuiltEncoder:
        """Build the model for the data set's image size if it accepts that, else for its own size."""
        net, notes = self._with_weights()
        configured: dict[str, Any] = vars(net)["pretrained_cfg"]
        channels, own, _ = configured["input_size"]
        side = size or traits.size
        try:
            backbone = Network(net, (channels, side, side), self.name, _feature_map)
        except (RuntimeError, AssertionError, ValueError) as error:
            if size is not None:
                raise SslbenchError(
                    f"{self.name}: does not accept images of {size} pixels ({_first_line(error)}); its own size is {own}"
                ) from error
            side = own
            backbone = Network(net, (channels, side, side), self.name, _feature_map)
        mean, std = (tuple(map(float, configured[name])) for name in ("mean", "std"))

        def untrained() -> Network:
            return Network(_create(self.model, None), (channels, side, side), self.name, _feature_map)

        return BuiltEncoder(backbone, InputSpec(side, channels, mean, std), backbone.pooling, untrained, notes)

    def _with_weights(self) -> tuple[nn.Module, tuple[str, ...]]:
        if self.file is None:
            return _create(self.model, _cached(self.model)), ()
        tensors = weights_file.read_weights(self.file)
        net = _create(self.model, None)
        match = weight_matching.match_weights(net, tensors)
        where = str(self.file)
        weight_matching.check(net, tensors, match, self.model, where)
        weight_matching.load(net, tensors, match)
        return net, tuple(weight_matching.describe(net, tensors, match, self.model, where))


def _create(model: str, cached: Path | None) -> nn.Module:
    """Return a timm model without its classifier, with the weights of a cached file, or with random weights."""
    import timm

    _check(model)
    overlay = {"file": str(cached)} if cached else None
    logging.getLogger("timm").setLevel(logging.ERROR)
    try:
        net: nn.Module = timm.create_model(
            model, pretrained=cached is not None, num_classes=0, pretrained_cfg_overlay=overlay
        )
    except Exception as error:  # a damaged cache, or a model without a removable classifier, fails in many ways
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
    return (str(error).strip() or type(error).__name__).splitlines()[0]
