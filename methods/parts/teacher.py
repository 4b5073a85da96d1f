"""Teacher: a copy of the student without gradient, updated as a moving average of the student."""

import copy
import math
from typing import TypeVar

import torch
from lightly.models.utils import deactivate_requires_grad
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def teacher_of(student: Module) -> Module:
    """Return a copy of the student without gradient."""
    teacher = copy.deepcopy(student)
    deactivate_requires_grad(teacher)
    return teacher


def follow(student: nn.Module, teacher: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters towards the student's; buffers are not changed.

    A teacher's batch norm therefore has its own running statistics; in training it uses its batch's [BYOL, MoCo v3].
    The average is computed as t + (1 - m)·(s - t), so that a parameter that is fixed in the student stays equal in the
    teacher; lightly's m·t + (1 - m)·s changes it by rounding.
    """
    with torch.no_grad():
        torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - momentum)


def momentum_at(progress: float, start: float, end: float = 1.0) -> float:
    """Return the momentum at ``progress`` on a cosine from ``start`` to ``end`` [BYOL, section 3.2]."""
    return end - (end - start) * (math.cos(math.pi * progress) + 1.0) / 2.0
