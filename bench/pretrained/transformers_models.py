"""Encoders in the form of Hugging Face ``transformers``: a local folder with ``config.json`` and safetensors."""

import hashlib
import inspect
import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bench.errors import SslbenchError
from bench.pretrained.image_input import OF_THE_DATA_SET, PretrainedSettings, checked_input, chosen_input
from bench.pretrained.method import BuiltEncoder
from bench.pretrained.names import TRANSFORMERS
from bench.pretrained.notes import seen_before
from bench.pretrained.wrapped_backbone import Network
from bench.printable import printable
from methods.base import InputSpec
from methods.traits import Traits

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
LARGEST_JSON = 2**24
POOLER = "pooler."
"""Weights of a head on the class token, which is not used: many files do not have it."""
LISTED = 12


@dataclass(frozen=True)
class TransformersModel:
    """A folder that ``save_pretrained`` wrote.

    Attributes:
        folder: The folder.
    """

    folder: Path
    title: str = "A model of Hugging Face transformers with its weights"
    paper: str = "https://github.com/huggingface/transformers"

    @property
    def name(self) -> str:
        """``hf-model:`` and the folder's name."""
        return TRANSFORMERS + self.folder.name

    def backbone(self) -> None:
        """Return None: transformers brings the network."""

    def digest(self) -> str:
        """Return the hash of the configurations and of all weights."""
        digest = hashlib.sha256()
        for file in [self.folder / CONFIG, self.folder / PREPROCESSOR, *self._weights()]:
            if file.is_file():
                digest.update(file.name.encode() + b"\0")
                with file.open("rb") as opened:
                    digest.update(hashlib.file_digest(opened, "sha256").digest())
        return digest.hexdigest()

    def build(self, traits: Traits, settings: PretrainedSettings) -> BuiltEncoder:
        """Build the model for the data set's image size if it accepts that, else for the size of its configuration."""
        model, unused = self._loaded()
        shown, side = self._preprocessor()
        own = side or getattr(model.config, "image_size", None) or traits.size
        own = int(own[0] if isinstance(own, list | tuple) else own)
        channels = int(getattr(model.config, "num_channels", 3))
        mean, std = shown or (traits.mean, traits.std)
        if len(mean) != channels:
            mean, std = (mean[:1] * channels, std[:1] * channels) if len(mean) == 1 else (mean, std)
        features = Features(model)
        spec = self._accepted(features, traits, settings, InputSpec(own, channels, tuple(mean), tuple(std)))
        whose = f"the folder's {PREPROCESSOR}" if shown else OF_THE_DATA_SET
        spec, normalisation = chosen_input(spec, whose, settings, traits, self.name)
        backbone = Network(features, (spec.channels, spec.size, spec.size), self.name, _feature_map)
        loaded = [f"{self.name}: {type(model).__name__}, all {len(model.state_dict())} tensors found"]
        if unused:
            loaded.append(f"  left aside: {_listed(unused)}")

        def untrained() -> Network:
            fresh = Features(_quietly(lambda: type(model)(model.config)))
            return Network(fresh, (spec.channels, spec.size, spec.size), self.name, _feature_map)

        notes = (f"features: {features.rule}", normalisation, *seen_before(None, traits, settings.saw))
        return BuiltEncoder(backbone, spec, backbone.pooling, untrained, notes, tuple(loaded))

    def _weights(self) -> list[Path]:
        found = sorted(self.folder.glob("*.safetensors"))
        if not found:
            raise SslbenchError(
                printable(
                    f"{TRANSFORMERS}{self.folder}: there are no weights as safetensors; save the model with save_pretrained"
                )
            )
        return found

    def _loaded(self) -> tuple[Any, list[str]]:
        """Return the model with its weights, and the names of tensors that were not used."""
        self._weights()
        try:
            from transformers import AutoConfig, AutoModel, ViTModel
        except ImportError:
            raise SslbenchError(f"{TRANSFORMERS} needs transformers: pip install 'sslbench[transformers]'") from None
        folder = str(self.folder)
        local = {"local_files_only": True, "trust_remote_code": False}
        try:
            with _silent():
                config = AutoConfig.from_pretrained(folder, **local)
                # The encoder of a masked autoencoder is a ViT; its own class draws masks at each call.
                kind: Any = ViTModel if config.model_type == "vit_mae" else AutoModel
                model, info = kind.from_pretrained(
                    folder, use_safetensors=True, dtype=torch.float32, output_loading_info=True, **local
                )
        except SslbenchError:
            raise
        except Exception as error:  # the library reports damaged and unknown files by errors of many types
            raise SslbenchError(
                printable(f"{TRANSFORMERS}{self.folder}: cannot be loaded ({_first_line(error)})")
            ) from error
        missing = [name for name in info["missing_keys"] if not name.startswith(POOLER)]
        wrong = [str(entry[0] if isinstance(entry, tuple) else entry) for entry in info["mismatched_keys"]]
        if missing or wrong:
            problems = [f"missing: {_listed(sorted(missing))}"] * bool(missing) + [
                f"other shapes: {_listed(sorted(wrong))}"
            ] * bool(wrong)
            raise SslbenchError(
                printable(
                    f"{TRANSFORMERS}{self.folder}: the weights do not fit {type(model).__name__} ({'; '.join(problems)})"
                )
            )
        if not all(
            bool(tensor.isfinite().all()) for tensor in model.state_dict().values() if tensor.is_floating_point()
        ):
            raise SslbenchError(printable(f"{TRANSFORMERS}{self.folder}: has weights that are NaN or infinite"))
        return model.eval(), sorted(map(str, info["unexpected_keys"]))

    def _preprocessor(self) -> tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, int | None]:
        """Return mean and standard deviation, and the side of images, of the folder's preprocessor; None for what it does not tell."""
        path = self.folder / PREPROCESSOR
        if not path.is_file():
            return None, None
        try:
            if path.stat().st_size > LARGEST_JSON:
                raise ValueError("it is too large")
            found = json.loads(path.read_text(encoding="utf-8"))
            side = found.get("crop_size") or found.get("size")
            side = (side.get("height") or side.get("shortest_edge")) if isinstance(side, dict) else side
            side = None if side is None else int(side)
            if not {"image_mean", "image_std"} <= found.keys() or found.get("do_normalize") is False:
                return None, side
            mean, std = (tuple(map(float, found[key])) for key in ("image_mean", "image_std"))
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise SslbenchError(printable(f"{path}: cannot be read ({_first_line(error)})")) from error
        return (mean, std), side

    def _accepted(
        self, features: "Features", traits: Traits, settings: PretrainedSettings, own: InputSpec
    ) -> InputSpec:
        """Return the input of the data set's size, or of the chosen one; of the model's own size if it refuses the data set's."""
        wanted = traits.size if settings.size is None else settings.size
        spec = checked_input(InputSpec(wanted, own.channels, own.mean, own.std), self.name)
        patch = getattr(features.model.config, "patch_size", 1)
        patch = int(patch[0] if isinstance(patch, list | tuple) else patch or 1)
        reason = f"they cannot be cut into patches of {patch}" if wanted % patch else _refusal(features, spec)
        if reason is None:
            return spec
        if settings.size is not None:
            raise SslbenchError(
                f"{self.name}: does not accept images of {wanted} pixels ({reason}); its own size is {own.size}"
            )
        return checked_input(own, self.name)


class Features(nn.Module):
    """A model of transformers that returns B×D.

    Attributes:
        model: The model.
        rule: Which of its outputs are the features, in words.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)
        self._arguments = (
            {"interpolate_pos_encoding": True}
            if "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
            else {}
        )
        self.tokens_before = (
            1 + int(getattr(model.config, "num_register_tokens", 0) or 0) if self._has_class_token() else 0
        )
        self.rule = (
            "the class token of the last layer"
            if self.tokens_before
            else "the mean over the positions of the last layer, or the model's own pooling of its last map"
        )

    def _has_class_token(self) -> bool:
        return any(name.rpartition(".")[2] == "cls_token" for name, _ in self.model.named_parameters())

    def last(self, images: Tensor) -> Any:
        """Return the model's outputs."""
        return self.model(pixel_values=images, **self._arguments)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features."""
        outputs = self.last(images)
        hidden: Tensor = outputs.last_hidden_state
        if hidden.ndim == 4:
            pooled: Tensor | None = getattr(outputs, "pooler_output", None)
            return hidden.mean(dim=(2, 3)) if pooled is None else pooled.flatten(1)
        return hidden[:, 0] if self.tokens_before else hidden.mean(dim=1)


def _feature_map(net: nn.Module, images: Tensor) -> Tensor | None:
    """Return the last feature map as B×D×h×w, also from tokens if they form a square grid; else None."""
    features = cast(Features, net)
    hidden: Tensor = features.last(images).last_hidden_state
    if hidden.ndim == 4:
        return hidden
    patches = hidden[:, features.tokens_before :]
    side = round(patches.shape[1] ** 0.5)
    return patches.transpose(1, 2).reshape(len(images), -1, side, side) if side**2 == patches.shape[1] else None


def _refusal(features: Features, spec: InputSpec) -> str | None:
    """Return why the model refuses images of this size; None if it accepts them."""
    try:
        with torch.no_grad():
            features(torch.zeros(1, spec.channels, spec.size, spec.size))
    except Exception as error:  # models refuse a size by errors of many types
        return _first_line(error)
    return None


def _quietly(build: Any) -> Any:
    with _silent():
        return build()


@contextmanager
def _silent() -> "Iterator[None]":
    """Keep the library's messages and progress bars off the terminal: what matters is in ours."""
    from transformers.utils import logging as transformers_logging

    messages: Any = transformers_logging
    level, bars = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bars:
            messages.enable_progress_bar()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(printable(name, 80) for name in names[:LISTED]) + more


def _first_line(error: BaseException) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[0], 200)
