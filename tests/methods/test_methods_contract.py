"""Every method keeps the contract: what it learns, what it remembers, what it gives back. On real digits, 8 pixels."""

import copy
import functools
import importlib
import inspect
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

import methods
from bench.backbones import build
from bench.backbones.catalogue import find
from bench.training import optimizers
from bench.views import compile_views
from bench.views.compile import Views
from methods.base import Batch, Loss, Method
from methods.traits import Traits

TRAITS = Traits(
    channels=1, size=8, classes=10, mean=(0.305,), std=(0.376,), horizontal_flip=False, images=1437, train=1437
)
BATCH = 64
EPOCH = -(-TRAITS.train // BATCH)
STEPS = {"pirl": 10 * EPOCH}
"""What does not learn within sixty: an image's memory is first what the untrained network sees in it, which is easily found again."""
ALL = sorted(p.stem for p in Path(methods.__path__[0]).glob("*.py") if p.stem not in ("__init__", "base", "traits"))
BACKBONES = ("resnet9_slim", "vit_nano")


def class_of(name: str) -> type[Method]:
    module = importlib.import_module(f"methods.{name}")
    (found,) = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return found


def takes(name: str, backbone: str) -> bool:
    return class_of(name).needs.backbone in ("any", "none", find(backbone).kind)


TRAINED = [name for name in ALL if class_of(name).needs.training]
PAIRS = [(name, backbone) for name in ALL for backbone in BACKBONES if takes(name, backbone)]
TRAINED_PAIRS = [(name, backbone) for name, backbone in PAIRS if name in TRAINED]


def backbone_of(name: str) -> str:
    return next(backbone for backbone in BACKBONES if takes(name, backbone))


def method_of(name: str, backbone: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    cls = class_of(name)
    backbone = None if cls.needs.backbone == "none" else build(backbone, TRAITS)
    return cls(backbone, cls.Settings(), TRAITS)


def pixels_of(start: int) -> tuple[Tensor, Tensor]:
    """Return so many digits as uint8 images, their labels."""
    digits = load_digits()
    chosen = torch.arange(start * BATCH, (start + 1) * BATCH) % 1437
    pixels = torch.from_numpy(digits.images)[chosen, None] * (255 / 16)
    return pixels.round().to(torch.uint8), torch.from_numpy(digits.target)[chosen]


def images_of(start: int) -> Tensor:
    return (pixels_of(start)[0].float() / 255 - TRAITS.mean[0]) / TRAITS.std[0]


@functools.cache
def views_of(name: str) -> Views:
    cls = class_of(name)
    pipeline = cls.views(cls.Settings(), TRAITS)
    return compile_views(
        pipeline, size=8, channels=1, device=torch.device("cpu"), mean=TRAITS.mean, std=TRAITS.std, workers=0
    )


@functools.cache
def batch_of(name: str, start: int) -> Batch:
    """The method's own views and masks of real digits; each test makes a fresh generator."""
    cls = class_of(name)
    images, labels = pixels_of(start)
    collate = cls.collate(cls.Settings(), TRAITS)
    return Batch(
        views=views_of(name)(images, torch.Generator().manual_seed(start)),
        masks=collate(BATCH, torch.Generator().manual_seed(start)) if collate else None,
        indices=torch.arange(start * BATCH, (start + 1) * BATCH) % 1437,
        labels=labels if cls.needs.labels else None,
        generator=torch.Generator(),
    )


def optimizer_of(method: Method) -> torch.optim.Optimizer:
    return optimizers.build(method.parameter_groups(), recipe_of(method), BATCH, torch.device("cpu"))


def recipe_of(method: Method) -> methods.base.Recipe:
    return (method.backbone.kind == "transformer" and method.transformer_recipe) or method.recipe


def step(
    method: Method, optimizer: torch.optim.Optimizer, start: int, bf16: bool = False, progress: float = 0.5
) -> Loss:
    name = type(method).__module__.removeprefix("methods.")
    batch = batch_of(name, start)._replace(generator=torch.Generator().manual_seed(start))
    torch.manual_seed(start)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = method(batch, progress)
    optimizer.zero_grad()
    loss.total.backward()
    method.before_step(progress)
    optimizer.step()
    method.after_step(progress)
    return loss


CATALOGUE = """
pixels random_init supervised
autoencoder vae mae simmim aim
simclr dcl dclw moco nnclr macl directclr densecl pirl
byol simsiam fastsiam dino ibot dinov2 msn pmsn ijepa capi
barlow_twins vicreg vicregl tico wmse frossl mmcr emp_ssl lejepa visreg hypersphere
swav smog
rotation
"""


def test_the_whole_catalogue_is_there() -> None:
    assert set(ALL) == set(CATALOGUE.split())


@pytest.mark.parametrize("name", ALL)
def test_a_method_says_what_it_is(name: str) -> None:
    cls = class_of(name)
    assert cls.title and cls.paper
    assert cls.recipe.version >= 1
    if cls.transformer_recipe is not None:
        assert cls.transformer_recipe.version == cls.recipe.version


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_after_saving_and_loading_the_next_losses_are_equal_bit_for_bit(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    for start in range(3):
        step(method, optimizer, start)
    loaded = method_of(name, backbone, seed=1)
    loaded_optimizer = optimizer_of(loaded)
    loaded.load_state_dict(method.state_dict())
    loaded_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for start in range(3, 6):
        assert torch.equal(step(method, optimizer, start).total, step(loaded, loaded_optimizer, start).total)


@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_steps_change_what_learns_and_a_teacher_and_nothing_else(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    # A weight may have no gradient in the first step of a method, so all is compared after three.
    before = {key: p.detach().clone() for key, p in method.named_parameters()}
    for start in range(3):
        step(method, optimizer, start)
    grouped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for key, p in method.named_parameters():
        assert (id(p) in grouped) == p.requires_grad, key
        if key.endswith("pos_embed"):
            assert torch.equal(p, before[key]), f"{key}: positions are fixed"
        else:
            assert p.requires_grad != key.startswith("teacher"), key
            # A bias that a batch norm takes away again has no gradient to speak of: a teacher need not feel it.
            if p.requires_grad or p.ndim > 1:
                assert not torch.equal(p, before[key]), f"{key} did not move"


@pytest.mark.parametrize("name", TRAINED)
def test_a_loss_is_one_float32_number_in_bf16_and_stays_finite(name: str) -> None:
    method = method_of(name, backbone_of(name))
    optimizer = optimizer_of(method)
    for start in range(10):
        loss = step(method, optimizer, start, bf16=True)
        assert loss.total.shape == () and loss.total.dtype == torch.float32
        assert all(torch.isfinite(value).all() for value in (loss.total, *loss.parts.values()))
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone"), TRAINED_PAIRS)
def test_the_loss_falls_over_sixty_steps_on_real_images(name: str, backbone: str) -> None:
    method = method_of(name, backbone)
    optimizer = optimizer_of(method)
    # One epoch without learning: a queue is to hold embeddings of images, a memory one of each.
    with torch.no_grad():
        for number in range(EPOCH):
            method(batch_of(name, number)._replace(generator=torch.Generator().manual_seed(number)), 0.0)
            method.after_step(0.0)
    losses = []
    steps = STEPS.get(name, 60)
    for number in range(steps):
        optimizers.schedule(optimizer, recipe_of(method), number, steps)
        losses.append(step(method, optimizer, number % EPOCH, progress=number / steps).total.item())
    # On the views it began with: from batch to batch the loss varies more than so few steps gain.
    again = [step(method, optimizer, number, progress=1.0).total.item() for number in range(5)]
    assert sum(again) < sum(losses[:5])


@pytest.mark.parametrize(("name", "backbone"), PAIRS)
def test_the_encoder_gives_features_that_do_not_depend_on_the_batch(name: str, backbone: str) -> None:
    encoder = method_of(name, backbone).eval().encoder()
    images = images_of(0)
    with torch.no_grad():
        features, alone = encoder.features(images), encoder.features(images[:1])
    assert features.shape == (BATCH, encoder.dim)
    assert (encoder.input.size, encoder.input.channels) == (8, 1)
    torch.testing.assert_close(features[:1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
def test_only_what_is_evaluated_counts_as_the_encoder(name: str) -> None:
    """The backbone, or its teacher; of the same form, so that it can be fine-tuned, and from a random start too."""
    method = method_of(name, backbone_of(name))
    encoder = method.encoder()
    assert {id(p) for p in encoder.parameters()} <= {id(p) for p in method.parameters()}
    shapes = {key: p.shape for key, p in encoder.backbone.named_parameters()}
    assert shapes == {key: p.shape for key, p in method.backbone.named_parameters()}


@pytest.mark.parametrize("name", [n for n in ALL if class_of(n).needs.backbone != "none"])
def test_a_method_that_needs_a_backbone_says_so(name: str) -> None:
    cls = class_of(name)
    with pytest.raises(ValueError, match="needs a backbone"):
        cls(None, cls.Settings(), TRAITS)


@pytest.mark.parametrize("name", [name for name, backbone in TRAINED_PAIRS if backbone == "vit_nano"])
def test_biases_norms_and_positions_do_not_decay(name: str) -> None:
    method = method_of(name, "vit_nano")
    decayed = {id(p) for group in method.parameter_groups() if "weight_decay" not in group for p in group["params"]}
    names = [key for key, p in method.named_parameters() if id(p) in decayed]
    assert names
    assert not [key for key in names if "norm" in key or "bias" in key or "token" in key or "pos_embed" in key]
