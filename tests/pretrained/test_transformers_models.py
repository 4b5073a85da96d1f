"""Encoders in the form of Hugging Face transformers, written by the library's own classes."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from bench.errors import SslbenchError
from bench.pretrained.image_input import PretrainedSettings
from bench.pretrained.method import method_of
from bench.pretrained.names import parse_name
from bench.pretrained.transformers_models import TransformersModel
from methods.traits import Traits

TRAITS = Traits(3, 32, 10, (0.5,) * 3, (0.25,) * 3, True, 100, 100)
NONE = PretrainedSettings()
SMALL: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
CONFIGS: dict[str, Any] = {
    "vit": lambda: transformers.ViTConfig(image_size=32, patch_size=8, **SMALL),
    "dinov2": lambda: transformers.Dinov2Config(
        image_size=32, patch_size=8, hidden_size=24, num_hidden_layers=2, num_attention_heads=2
    ),
    "resnet": lambda: transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    ),
    "convnext": lambda: transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1]),
}


def model_of(kind: str) -> Any:
    torch.manual_seed(0)
    return transformers.AutoModel.from_config(CONFIGS[kind]()).eval()


def saved(kind: str, folder: Path) -> Any:
    model = model_of(kind)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_features_are_those_of_the_models_own_forward(kind: str, tmp_path: Path) -> None:
    model = saved(kind, tmp_path / kind)
    built = TransformersModel(tmp_path / kind).build(TRAITS, NONE)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = model(pixel_values=images)
        found = built.backbone.features(images, built.pooling)
        map_ = built.backbone.feature_map(images)
    last = outputs.last_hidden_state
    expected = last[:, 0] if last.ndim == 3 else outputs.pooler_output.flatten(1)
    torch.testing.assert_close(found, expected)
    assert built.backbone.dim == found.shape[1] and map_ is not None and map_.shape[:2] == found.shape
    if last.ndim == 3:
        torch.testing.assert_close(map_.flatten(2).transpose(1, 2), last[:, 1:])
    assert built.loaded[0].endswith("tensors found") and built.notes[0].startswith("features: ")


def test_another_image_size_interpolates_positions_as_the_library_does(tmp_path: Path) -> None:
    model = saved("vit", tmp_path / "vit")
    built = TransformersModel(tmp_path / "vit").build(TRAITS, PretrainedSettings(size=48))
    images = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        expected = model(pixel_values=images, interpolate_pos_encoding=True).last_hidden_state[:, 0]
        torch.testing.assert_close(built.backbone.features(images, built.pooling), expected)
    assert built.input.size == 48


def test_a_size_that_cannot_be_cut_into_patches_gives_the_models_own_size(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    small = Traits(1, 28, 10, (0.3,), (0.3,), True, 100, 100)
    assert TransformersModel(tmp_path / "vit").build(small, NONE).input.size == 32
    with pytest.raises(SslbenchError, match="patches of 8"):
        TransformersModel(tmp_path / "vit").build(small, PretrainedSettings(size=28))


def test_the_preprocessor_gives_size_and_normalisation(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    about = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"height": 40, "width": 40}}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(about))
    small = Traits(3, 28, 10, (0.3,) * 3, (0.3,) * 3, True, 100, 100)
    spec = TransformersModel(tmp_path / "vit").build(small, NONE).input
    assert (spec.size, spec.mean, spec.std) == (40, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_classifier_or_a_masked_autoencoder_around_the_encoder_is_left_aside(tmp_path: Path) -> None:
    torch.manual_seed(0)
    classifier = transformers.ViTForImageClassification(CONFIGS["vit"]()).eval()
    classifier.save_pretrained(tmp_path / "classifier")
    decoder = {f"decoder_{name}": value for name, value in SMALL.items()}
    config = transformers.ViTMAEConfig(image_size=32, patch_size=8, **SMALL, **decoder)
    autoencoder = transformers.ViTMAEForPreTraining(config).eval()
    autoencoder.save_pretrained(tmp_path / "mae")
    images = torch.rand(2, 3, 32, 32)
    built = TransformersModel(tmp_path / "classifier").build(TRAITS, NONE)
    with torch.no_grad():
        expected = classifier.vit(pixel_values=images).last_hidden_state[:, 0]
        torch.testing.assert_close(built.backbone.features(images, built.pooling), expected)
    assert "classifier.weight" in built.loaded[1]
    masked = TransformersModel(tmp_path / "mae").build(TRAITS, NONE)
    with torch.no_grad():
        first, second = (masked.backbone.features(images, masked.pooling) for _ in range(2))
    assert torch.equal(first, second) and "decoder." in masked.loaded[1]


def without(folder: Path, prefix: str) -> None:
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    save_file(
        {name: tensor for name, tensor in load_file(path).items() if not name.startswith(prefix)},
        path,
        {"format": "pt"},
    )


def with_nan(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    next(tensor for tensor in tensors.values() if tensor.is_floating_point()).fill_(float("nan"))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: without(folder, "layernorm"), "missing: .*layernorm"),
        (with_nan, "NaN or infinite"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no weights as safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"damaged"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "nothing"}'), "cannot be loaded"),
        (lambda folder: (folder / "preprocessor_config.json").write_text("["), "cannot be read"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text('{"image_mean": 3, "image_std": [1]}'),
            "cannot be read",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused_in_one_line(change: Any, message: str, tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    change(tmp_path / "vit")
    with pytest.raises(SslbenchError, match=message) as error:
        TransformersModel(tmp_path / "vit").build(TRAITS, NONE)
    assert "\n" not in str(error.value)


def test_code_in_the_folder_is_never_run(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    config = json.loads((tmp_path / "vit" / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}, "model_type": "evil"}
    (tmp_path / "vit" / "config.json").write_text(json.dumps(config))
    (tmp_path / "vit" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(SslbenchError, match="cannot be loaded"):
        TransformersModel(tmp_path / "vit").build(TRAITS, NONE)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["hf-model:", "hf-model:{}/none", "hf-model:{}"])
def test_a_wrong_name_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(SslbenchError, match="save_pretrained"):
        parse_name(name.format(tmp_path))


def test_the_name_of_its_records_follows_the_content(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    first = TransformersModel(tmp_path / "vit").digest()
    (tmp_path / "vit" / "preprocessor_config.json").write_text("{}")
    assert TransformersModel(tmp_path / "vit").digest() != first
    assert method_of(TransformersModel(tmp_path / "vit")).family == "elsewhere"


def test_what_the_user_says_about_its_images_is_a_note(tmp_path: Path) -> None:
    saved("vit", tmp_path / "vit")
    taken = Traits(3, 32, 10, (0.5,) * 3, (0.25,) * 3, True, 100, 100, taken_from="ImageNet")
    model = TransformersModel(tmp_path / "vit")
    assert any("not known" in note for note in model.build(taken, NONE).notes)
    seen = model.build(taken, PretrainedSettings(saw="imagenet")).notes
    assert any("it has seen them" in note for note in seen)
    assert any(
        note == "pretrained on JFT, as the user declared"
        for note in model.build(taken, PretrainedSettings(saw="JFT")).notes
    )
