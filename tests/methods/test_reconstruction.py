"""Autoencoder and VAE work with any image size and backbone, and their losses stay finite."""

from typing import Any

import pytest
import torch
from torch import nn

from bench.backbones import build
from methods.autoencoder import Autoencoder, AutoencoderSettings
from methods.base import Batch, Method
from methods.parts.decoder import Decoder
from methods.traits import Traits
from methods.vae import VAE, VAESettings, divergence, variance_of


def batch_of(images: torch.Tensor) -> Batch:
    return Batch([images], None, torch.arange(len(images)), None, torch.Generator().manual_seed(0))


def vae_of(size: int, channels: int, backbone: str = "resnet9_slim", dim: int = 10) -> VAE:
    torch.manual_seed(0)
    traits = Traits(channels, size, 10, (0.5,) * channels, (0.25,) * channels, False, 1000, 1000)
    return VAE(build(backbone, traits), VAESettings(dim=dim), traits)


@pytest.mark.parametrize("size", [8, 9, 15, 28, 30, 32, 96])
def test_the_decoder_outputs_images_of_any_size(size: int) -> None:
    decoder = Decoder(10, 128, size, 3)
    assert decoder(torch.randn(2, 10)).shape == (2, 3, size, size)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (96, 3)])
@pytest.mark.parametrize("backbone", ["resnet9_slim", "alexnet", "mlp", "vit_nano"])
@pytest.mark.parametrize("name", ["autoencoder", "vae"])
def test_a_code_of_ten_dimensions_works_on_every_backbone_and_size(
    name: str, backbone: str, size: int, channels: int
) -> None:
    traits = Traits(channels, size, 10, (0.5,) * channels, (0.25,) * channels, False, 1000, 1000)
    network = build(backbone, traits)
    method: Method
    if name == "autoencoder":
        method = Autoencoder(network, AutoencoderSettings(dim=10), traits)
    else:
        method = VAE(network, VAESettings(dim=10), traits)
    loss = method(batch_of(torch.randn(2, channels, size, size)), 0.0)
    loss.total.backward()
    trained = [p for p in method.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in trained)


def test_the_divergence_equals_torchs() -> None:
    mean, variance = torch.randn(64, 10), torch.rand(64, 10) + 0.1
    normal = torch.distributions.Normal(mean, variance.sqrt())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(divergence(mean, variance), expected)


@pytest.mark.parametrize("output", [-1e30, -1e4, -100.0, 0.0, 100.0, 1e4, 1e30])
def test_the_divergence_and_its_gradient_are_finite_for_any_variance_output(output: float) -> None:
    """An exponential of 100 would overflow float32, and infinity minus infinity is NaN."""
    assert torch.isinf(torch.tensor(100.0).exp())
    outputs = torch.full((4, 3), output, requires_grad=True)
    loss = divergence(torch.zeros(4, 3), variance_of(outputs))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert outputs.grad is not None and torch.isfinite(outputs.grad).all()


@pytest.mark.parametrize("output", [-1e4, 100.0, 1e4])
def test_a_vae_with_extreme_variance_outputs_stays_finite_in_bf16(output: float) -> None:
    method = vae_of(8, 1)
    nn.init.constant_(method.spread.bias, output)
    with torch.autocast("cpu", torch.bfloat16):
        loss = method(batch_of(torch.randn(16, 1, 8, 8)), 0.0)
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in method.parameters())


def test_the_divergence_is_computed_in_float32() -> None:
    """Near the optimum, the terms cancel to about 1e-5 nats, but bf16 has steps of 0.008."""
    variance = torch.full((8, 4), 1.004)
    with torch.autocast("cpu", torch.bfloat16):
        method = vae_of(8, 1)
        loss = method(batch_of(torch.randn(4, 1, 8, 8)), 0.0)
    assert loss.parts["divergence"].dtype == torch.float32
    assert 0 < divergence(torch.zeros(8, 4), variance) < 1e-5


def test_the_same_generator_gives_the_same_sample() -> None:
    method = vae_of(8, 1).eval()
    images = torch.randn(4, 1, 8, 8)
    first, again = method(batch_of(images), 0.0), method(batch_of(images), 0.0)
    other = batch_of(images)._replace(generator=torch.Generator().manual_seed(1))
    assert torch.equal(first.total, again.total)
    assert not torch.equal(first.total, method(other, 0.0).total)


@pytest.mark.slow
def test_a_trained_autoencoder_reconstructs_every_pixel_of_digits() -> None:
    """A decoder ending in a ReLU can leave pixels black; here even the worst pixel correlates with its original."""
    from sklearn.datasets import load_digits

    images = torch.from_numpy(load_digits().images[:256]).float()[:, None] / 16.0
    images = (images - images.mean()) / images.std()
    traits = Traits(1, 8, 10, (0.3,), (0.37,), False, 256, 256)
    torch.manual_seed(0)
    method = Autoencoder(build("mlp", traits), AutoencoderSettings(dim=10), traits)
    optimizer: Any = torch.optim.Adam(method.parameters(), 3e-3)
    for _ in range(120):
        loss = method(batch_of(images), 0.0).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        reconstructions = method.eval().reconstruct(images)
    varied = images.std(dim=0) > 0.2
    pairs = zip(images[:, varied].T, reconstructions[:, varied].T, strict=True)
    worst = min(float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in pairs)
    assert worst > 0.5
