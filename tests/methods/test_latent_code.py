"""``layer=latent`` evaluates the code, under every protocol and from scratch; the default is the backbone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench import seeds
from bench.backbones import build
from bench.data import load
from bench.data.dataset import Dataset
from bench.data.development import development
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import calibrate_batch_norm
from bench.views.prepare import prepare
from methods.autoencoder import Autoencoder, AutoencoderSettings
from methods.base import Batch
from methods.traits import Traits
from methods.vae import VAE, VAESettings
from protocols.base import Task
from protocols.catalogue import DEFAULT

CLASSES = [(Autoencoder, AutoencoderSettings), (VAE, VAESettings)]
DIM = 7


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return development(load("digits"))


def method_of(cls: Any, settings: Any, traits: Traits, backbone: str = "resnet9_slim", layer: str = "latent") -> Any:
    seeds.seed_everything(0, "init")
    return cls(build(backbone, traits), settings(dim=DIM, layer=layer), traits)


def evaluation_of(method: Any, dataset: Dataset, backbone: str = "resnet9_slim") -> Evaluation:
    encoder = method.encoder().eval()
    calibrate_batch_norm(encoder, dataset.train_images, lambda x: prepare(x, encoder.input, torch.device("cpu")))
    return Evaluation(encoder, dataset, backbone, 0)


@pytest.mark.parametrize(("cls", "settings"), CLASSES)
def test_latent_features_are_the_decoders_input_and_the_feature_map_is_the_backbones(
    cls: Any, settings: Any, digits: Dataset
) -> None:
    method = method_of(cls, settings, digits.traits).eval()
    encoder = method.encoder()
    images = prepare(digits.train_images[:5], encoder.input, torch.device("cpu"))
    features, feature_map = encoder.features(images), encoder.feature_map(images)
    assert features.shape == (5, DIM) and encoder.dim == DIM
    torch.testing.assert_close(method.decoder(features), method.reconstruct(images))
    assert feature_map.shape[1] == encoder.map_dim == method.backbone.dim
    torch.testing.assert_close(feature_map, method.backbone.feature_map(images))


@pytest.mark.parametrize(("cls", "settings"), CLASSES)
def test_by_default_the_backbone_is_evaluated_without_a_code_layer(cls: Any, settings: Any, digits: Dataset) -> None:
    encoder = method_of(cls, settings, digits.traits, layer="backbone").encoder()
    assert settings().layer == "backbone" and encoder.dim == encoder.backbone.dim
    assert list(encoder.state_dict()) == [f"backbone.{key}" for key in encoder.backbone.state_dict()]


def test_a_network_from_scratch_has_a_new_code_layer_and_the_same_backbone_as_without_it(digits: Dataset) -> None:
    def scratch(layer: str, purpose: str) -> dict[str, Tensor]:
        method = method_of(Autoencoder, AutoencoderSettings, digits.traits, layer=layer)
        task: Task = evaluation_of(method, digits).task("scratch-1")
        assert task.scratch_encoder is not None
        return task.scratch_encoder(task.generator(purpose)).state_dict()

    latent, again, other, plain = (
        scratch("latent", "a"), scratch("latent", "a"), scratch("latent", "b"), scratch("backbone", "a")
    )  # fmt: skip
    pretrained = method_of(Autoencoder, AutoencoderSettings, digits.traits).encoder().state_dict()
    assert {key: value.shape for key, value in latent.items()} == {key: v.shape for key, v in pretrained.items()}
    assert all(torch.equal(latent[key], again[key]) for key in latent)
    assert not torch.equal(latent["code.weight"], other["code.weight"])
    assert not torch.equal(latent["code.weight"], pretrained["code.weight"])
    assert all(torch.equal(latent[key], plain[key]) for key in plain)


@pytest.mark.slow
def test_every_default_protocol_and_scratch_evaluate_a_code(digits: Dataset) -> None:
    evaluation = evaluation_of(method_of(VAE, VAESettings, digits.traits, "mlp"), digits, "mlp")
    before = {key: value.clone() for key, value in evaluation.encoder.state_dict().items()}
    for name in (*DEFAULT, "scratch-1"):
        assert evaluation.measure(name).metrics["top1"] > 0.1, name
    assert all(torch.equal(value, before[key]) for key, value in evaluation.encoder.state_dict().items())


@pytest.mark.slow
def test_a_convolutional_head_uses_the_feature_map_of_an_encoder_with_a_code(digits: Dataset) -> None:
    evaluation = evaluation_of(method_of(VAE, VAESettings, digits.traits), digits)
    assert evaluation.measure("lowshot-1-frozen-conv").metrics["top1"] > 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("cls", "settings"), CLASSES)
def test_a_code_of_two_dimensions_reconstructs_mnist_without_constant_pixels(
    cls: Any, settings: Any, shared_data: Any
) -> None:
    images = load("mnist", data_root=shared_data).train_images[:512].float() / 255
    images = (images - images.mean()) / images.std()
    traits = Traits(1, 28, 10, (0.13,), (0.31,), False, 512, 512)
    torch.manual_seed(0)
    method = cls(build("mlp", traits), settings(dim=2), traits)
    optimizer = torch.optim.Adam(method.parameters(), 2e-3)
    for step in range(40):
        batch = images[torch.arange(step * 64, (step + 1) * 64) % 512]
        loss = method(Batch([batch], None, torch.arange(64), None, torch.Generator().manual_seed(step)), 0.0).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        reconstructions = method.eval().reconstruct(images)
    assert reconstructions.shape == images.shape
    varied = images.std(dim=0) > 0.2
    assert reconstructions.std(dim=0)[varied].min() > 1e-3
