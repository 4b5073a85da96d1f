"""Optimisers and learning-rate schedules of a method's recipe."""

import math
from collections.abc import Callable
from typing import Any, get_args, get_type_hints, overload

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from bench.errors import unknown
from methods.base import Recipe

REFERENCE_BATCH = 256
"""Batch size of the learning rates in recipes; for other batch sizes they are scaled linearly [Goyal 2017]."""


class LARS(Optimizer):
    """LARS: SGD with a limit on the learning rate of each layer, in the clipped form of solo-learn.

    A layer's gradient with decay, g + λw, is scaled by min(η·‖w‖ / (‖g‖ + λ‖w‖) / rate, 1): the step is that of SGD if the layer's
    trust rate η·‖w‖ / (‖g‖ + λ‖w‖) is above the learning rate. Groups with ``adapt`` False always use SGD.

    Source: You et al. 2017 (https://arxiv.org/abs/1708.03888, equation 6) and solo-learn's ``utils/lars.py`` with
    ``clip_lars_lr`` and ``exclude_bias_n_norm_lars``.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        eta: float = 0.02,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            groups,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eta": eta, "eps": eps, "adapt": True},
        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Update the weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._step_group(group, weights)
        return loss

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        gradients = [p.grad for p in weights if p.grad is not None]
        updates = torch._foreach_add(gradients, weights, alpha=group["weight_decay"])
        if group["adapt"]:
            scales = self._scales(group, weights, gradients)
            torch._foreach_mul_(updates, list(scales.unbind()))
        for p in weights:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in weights]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, updates)
        torch._foreach_add_(weights, buffers, alpha=-group["lr"])

    def _scales(self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> Tensor:
        weight_norms = torch.stack(torch._foreach_norm(weights))
        gradient_norms = torch.stack(torch._foreach_norm(gradients))
        trust_rates = (
            group["eta"] * weight_norms / (gradient_norms + group["weight_decay"] * weight_norms + group["eps"])
        )
        scales = (trust_rates / group["lr"]).clamp(max=1.0)
        # A layer whose weights are all zero takes the SGD step; a layer without a gradient has no decay.
        scales = torch.where(weight_norms > 0, scales, torch.ones_like(scales))
        return torch.where(gradient_norms > 0, scales, torch.zeros_like(scales))


def build(groups: list[dict[str, Any]], recipe: Recipe, batch_size: int, device: torch.device) -> Optimizer:
    """Return the recipe's optimiser for a method's parameter groups; torch's optimisers are fused on the CPU and on GPUs.

    A group may set ``weight_decay`` (instead of the recipe's), ``adapt`` (False: LARS uses SGD for it), ``rate_scale``
    (a factor on the learning rate) and ``schedule`` (``constant``: no warm-up and no cosine, as for SimSiam's predictor).
    """
    peak = recipe.rate * batch_size / REFERENCE_BATCH
    prepared = []
    for group in groups:
        if not group["params"]:
            continue
        prepared.append(
            {
                "adapt": True,
                "rate_scale": 1.0,
                "schedule": recipe.schedule,
                "weight_decay": recipe.weight_decay,
                "decay_follows_recipe": "weight_decay" not in group,
                **group,
            }
        )
    fused = device.type in ("cpu", "cuda")
    match recipe.optimizer:
        case "lars":
            optimizer: Optimizer = LARS(prepared, lr=peak, momentum=recipe.momentum)
        case "sgd":
            optimizer = SGD(prepared, lr=peak, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=fused)
        case "adam":
            optimizer = Adam(prepared, lr=peak, betas=recipe.betas, fused=fused)
        case "adamw":
            optimizer = AdamW(prepared, lr=peak, betas=recipe.betas, fused=fused)
        case other:
            raise unknown("optimizer of a recipe", str(other), get_args(get_type_hints(Recipe)["optimizer"]))
    for group in optimizer.param_groups:
        group["peak"] = peak * group["rate_scale"]
    return optimizer


def factor(recipe: Recipe, step: int, steps: int) -> float:
    """Return the fraction of the peak learning rate at ``step`` of ``steps``: linear warm-up, then the recipe's schedule.

    The first of n warm-up steps uses 1/n of the peak; the cosine would reach zero one step after the last step.
    """
    warmup = round(recipe.warmup * steps)
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "constant":
        return 1.0
    return _cosine(1.0, 0.0, (step - warmup) / (steps - warmup))


def schedule(optimizer: Optimizer, recipe: Recipe, step: int, steps: int) -> float:
    """Set each group's learning rate and weight decay for ``step`` of ``steps``; return the fraction of the peak rate."""
    fraction = factor(recipe, step, steps)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * (fraction if _follows(group, recipe) else 1.0)
        if recipe.final_weight_decay is not None and group["decay_follows_recipe"]:
            group["weight_decay"] = _cosine(recipe.weight_decay, recipe.final_weight_decay, step / steps)
    return fraction


def _follows(group: dict[str, Any], recipe: Recipe) -> bool:
    return bool(group["schedule"] != "constant" or recipe.schedule == "constant")


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * progress)) / 2.0
