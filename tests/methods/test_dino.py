"""DINO, iBOT, DINOv2: the loss, the centre, frozen prototypes, the teacher and masked patches, on real digits."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from bench.backbones import build
from bench.training import optimizers
from bench.views import compile_views
from methods.base import Batch
from methods.dino import DINO, DINOSettings
from methods.dinov2 import DINOv2, DINOv2Settings
from methods.ibot import IBOT, IBOTSettings
from methods.parts.distillation import PatchLoss, PatchMasks, PrototypeHead, ViewLoss
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.305,), (0.376,), False, 1000, 1000)
ALL = [(DINO, DINOSettings()), (IBOT, IBOTSettings()), (DINOv2, DINOv2Settings())]


def built(cls: Any, settings: Any, backbone: str = "vit_nano") -> Any:
    torch.manual_seed(0)
    return cls(build(backbone, TRAITS), settings, TRAITS)


def batch_of(method: Any, images: int = 16, seed: int = 0) -> Batch:
    """Return a batch of digits with the method's views and masks."""
    cls, settings = type(method), method.settings
    pixels = torch.from_numpy(load_digits().images[:images, None] * 15).to(torch.uint8)
    views = compile_views(
        cls.views(settings, TRAITS), size=8, channels=1, device="cpu", mean=TRAITS.mean, std=TRAITS.std
    )
    collate = cls.collate(settings, TRAITS)
    generator = torch.Generator().manual_seed(seed)
    masks = collate(images, generator) if collate else None
    return Batch(views(pixels, generator), masks, torch.arange(images), None, generator)


def softmax(logits: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def numbers(tensor: Tensor) -> np.ndarray[Any, Any]:
    return tensor.detach().double().numpy()


def test_the_loss_of_views_is_the_published_mean_over_all_pairs_of_different_views() -> None:
    torch.manual_seed(0)
    teacher = [torch.randn(5, 7) for _ in range(2)]
    student = [torch.randn(5, 7) for _ in range(4)]
    centre = torch.randn(7)
    criterion = ViewLoss(7, student_temp=0.1, center_momentum=0.9)
    criterion.center.copy_(centre)
    terms = [
        -(softmax(numbers(t - centre) / 0.05) * np.log(softmax(numbers(s) / 0.1))).sum(1).mean()
        for i, t in enumerate(teacher)
        for j, s in enumerate(student)
        if i != j
    ]
    assert len(terms) == 6
    assert float(criterion(teacher, student, 0.05)) == pytest.approx(np.mean(terms), rel=1e-5)


def test_the_loss_of_patches_weights_all_images_equally() -> None:
    torch.manual_seed(0)
    masks = torch.zeros(3, 2, 2, dtype=torch.bool)
    masks[0, 0, 0] = True
    masks[1] = True
    teacher, student = torch.randn(5, 7), torch.randn(5, 7)
    terms = -(softmax(numbers(teacher) / 0.05) * np.log(softmax(numbers(student) / 0.1))).sum(1)
    by_hand = (terms[0] + terms[1:].mean() + 0.0) / 3
    loss = PatchLoss(7, student_temp=0.1, center_momentum=0.9)(teacher, student, PatchMasks.of(masks), 0.05)
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(("cls", "settings"), ALL)
def test_the_centre_moves_only_in_training_mode_and_is_saved(cls: Any, settings: Any) -> None:
    method = built(cls, settings)
    centres = [key for key in method.state_dict() if key.endswith("center")]
    assert len(centres) == (1 if cls is DINO else 2)

    def values() -> list[Tensor]:
        return [method.state_dict()[key].clone() for key in centres]

    method.eval()
    method(batch_of(method), 0.5)
    assert all((value == 0).all() for value in values())
    method.train()
    method(batch_of(method), 0.5)
    moved = values()
    assert all((value != 0).any() for value in moved)
    assert all(value.dtype == torch.float32 for value in moved)


@pytest.mark.parametrize(("cls", "settings"), ALL)
def test_prototypes_are_frozen_at_the_start_and_learn_afterwards(cls: Any, settings: Any) -> None:
    method = built(cls, settings)
    optimizer = optimizers.build(method.parameter_groups(), method.recipe, 256, torch.device("cpu"))

    def moved(progress: float) -> bool:
        before = method.head.last_layer.weight_v.detach().clone()
        method(batch_of(method), progress).total.backward()
        method.before_step(progress)
        optimizer.step()
        return not torch.equal(before, method.head.last_layer.weight_v)

    first = method.head.layers[0].weight.detach().clone()
    assert not moved(settings.frozen / 2)
    assert not torch.equal(first, method.head.layers[0].weight), "other layers learn"
    assert moved(settings.frozen)


def test_prototypes_of_fixed_length_stay_on_the_sphere_and_every_parameter_is_trained() -> None:
    head = PrototypeHead(8, 16, 4, 12, fixed_length=True)
    assert all(p.requires_grad for p in head.parameters())
    optimizer = torch.optim.SGD(head.parameters(), 1.0)
    head(torch.randn(6, 8)).square().sum().backward()
    optimizer.step()
    head(torch.randn(6, 8))
    torch.testing.assert_close(head.last_layer.weight.norm(dim=1), torch.ones(12))


def test_prototype_lengths_are_trained_if_they_are_not_fixed() -> None:
    head = PrototypeHead(8, 16, 4, 12, fixed_length=False)
    head(torch.randn(6, 8)).square().sum().backward()
    assert head.last_layer.weight_g.grad.abs().sum() > 0


@pytest.mark.parametrize("fixed_length", [True, False])
def test_the_teachers_head_is_an_independent_copy(fixed_length: bool) -> None:
    head = PrototypeHead(8, 16, 4, 12, fixed_length=fixed_length)
    teacher = head.teacher()
    inputs = torch.randn(6, 8)
    assert torch.equal(head(inputs), teacher(inputs))
    assert not {p.data_ptr() for p in head.parameters()} & {p.data_ptr() for p in teacher.parameters()}
    assert not any(p.requires_grad for p in teacher.parameters())
    with torch.no_grad():
        head.last_layer.weight_v.add_(torch.randn(12, 4))
    assert not torch.equal(head(inputs), teacher(inputs))


@pytest.mark.parametrize(("cls", "settings"), ALL)
def test_the_teacher_has_no_gradient_follows_and_is_evaluated_with_its_class_token(cls: Any, settings: Any) -> None:
    method = built(cls, settings)
    method(batch_of(method), 0.5).total.backward()
    teachers = {key: p for key, p in method.named_parameters() if key.startswith("teacher")}
    assert all(p.grad is None and not p.requires_grad for p in teachers.values())
    before = {key: p.clone() for key, p in teachers.items()}
    with torch.no_grad():
        for p in (*method.backbone.parameters(), *method.head.parameters()):
            p.add_(1.0)
    method.after_step(1.0)
    assert all(torch.equal(p, before[key]) for key, p in teachers.items()), "the momentum is 1 at the end"
    method.after_step(0.0)
    for key, p in teachers.items():
        torch.testing.assert_close(p, before[key] + 1 - settings.momentum, rtol=1e-3, atol=1e-5)
    encoder = method.encoder()
    assert encoder.backbone is method.teacher_backbone and encoder.pooling == "class"


def test_dinos_teacher_sees_only_the_global_crops() -> None:
    method = built(DINO, DINOSettings())
    sizes: list[int] = []
    method.teacher_backbone.vit.patch_embed.register_forward_pre_hook(lambda _, x: sizes.append(x[0].shape[-1]))
    method(batch_of(method), 0.5)
    assert sizes == [8]


def test_dinos_convolutional_teacher_uses_batch_statistics_and_has_its_own_running_statistics() -> None:
    method = built(DINO, DINOSettings(), "resnet9_slim")
    before = {key: b.clone() for key, b in method.teacher_backbone.named_buffers() if "running" in key}
    method.after_step(0.0)
    assert before and all(torch.equal(b, before[k]) for k, b in method.teacher_backbone.named_buffers() if k in before)
    method(batch_of(method), 0.5)
    assert all(not torch.equal(b, before[k]) for k, b in method.teacher_backbone.named_buffers() if k in before)
    assert method.encoder().pooling == method.backbone.pooling


def paint(views: Tensor, masks: Tensor, value: float) -> Tensor:
    pixels = masks.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    return torch.where(pixels, views + value, views)


@pytest.mark.parametrize(("cls", "settings"), ALL[1:])
def test_masked_patches_are_hidden_from_the_student(cls: Any, settings: Any) -> None:
    method = built(cls, settings).eval()
    batch = batch_of(method)
    large = torch.cat(batch.views[:2])
    painted = paint(large, batch.masks.masks, 5.0)
    assert not torch.equal(painted, large)
    _, seen = method.distil(batch, 0.5)
    _, again = method.distil(batch._replace(views=[*painted.chunk(2), *batch.views[2:]]), 0.5)
    for first, second in zip(seen, again, strict=True):
        torch.testing.assert_close(first, second)
    _, unmasked = method.distil(batch._replace(masks=PatchMasks.of(torch.zeros_like(batch.masks.masks))), 0.5)
    assert not torch.allclose(seen[0], unmasked[0], atol=1e-3)


def test_half_of_the_global_crops_are_masked_and_masks_depend_only_on_the_generator() -> None:
    draw = IBOT.collate(IBOTSettings(), TRAITS)
    first, again, other = (draw(32, torch.Generator().manual_seed(seed)).masks for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == (64, 4, 4)
    shares = first.flatten(1).float().mean(1)
    assert (shares > 0).sum() == 32
    assert shares.max() <= 0.5


@pytest.mark.parametrize("size", [8, 28, 32, 96])
def test_masks_can_be_drawn_for_every_image_size(size: int) -> None:
    traits = Traits(1, size, 10, (0.3,), (0.3,), False, 1000, 1000)
    masks, _ = IBOT.collate(IBOTSettings(), traits)(8, torch.Generator().manual_seed(0))
    assert masks.flatten(1).any(1).sum() == 8


def test_the_teachers_temperature_rises_during_the_warm_up() -> None:
    method = built(IBOT, IBOTSettings(temperature_warmup=0.3)).eval()
    batch = batch_of(method)
    early, late, later = (method(batch, progress).total for progress in (0.0, 0.3, 0.8))
    assert early != late and late == later


def test_koleo_pushes_nearest_neighbours_apart() -> None:
    method = built(DINOv2, DINOv2Settings())
    loss = method(batch_of(method), 0.5)
    parts = loss.parts
    torch.testing.assert_close(loss.total, parts["views"] + parts["patches"] + 0.1 * parts["koleo"])
    angles = torch.tensor([0.0, 0.2, 1.5, 3.0], requires_grad=True)
    method.koleo(torch.stack([angles.cos(), angles.sin()], dim=1)).backward()
    assert angles.grad[0] > 0 > angles.grad[1], "a step against the gradient separates the two nearest"


@pytest.mark.parametrize(("progress", "temperature"), [(0.0, 0.04), (0.15, 0.055), (0.3, 0.07), (1.0, 0.07)])
def test_the_teachers_temperature_of_dinov2_rises_for_30_of_100_epochs(progress: float, temperature: float) -> None:
    method = built(DINOv2, DINOv2Settings())
    used: list[float] = []
    method.view_loss.register_forward_pre_hook(lambda _, inputs: used.append(inputs[2]))
    method(batch_of(method), progress)
    assert used == pytest.approx([temperature])


def test_learning_rates_of_dinov2_are_lower_in_earlier_layers() -> None:
    method = built(DINOv2, DINOv2Settings())
    groups = method.parameter_groups()
    scale = {id(p): group["rate_scale"] for group in groups for p in group["params"]}
    vit = method.backbone.vit
    assert len(scale) == sum(p.requires_grad for p in method.parameters())
    assert scale[id(vit.patch_embed.proj.weight)] == pytest.approx(0.9**5 * 0.2)
    assert [scale[id(block.norm1.weight)] for block in vit.blocks] == pytest.approx([0.9**4, 0.9**3, 0.9**2, 0.9])
    assert scale[id(vit.norm.weight)] == scale[id(method.head.layers[0].weight)] == 1.0
    assert all(group.get("weight_decay") == 0.0 for group in groups for p in group["params"] if p.ndim == 1)
