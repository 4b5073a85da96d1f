"""A teacher: a copy of the student without gradient that follows it by a moving average."""

import copy
import math
from typing import TypeVar

import torch
from lightly.models.utils import deactivate_requires_grad
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def teacher_of(student: Module) -> Module:
    """Return a copy of the student that takes no gradient."""
    teacher = copy.deepcopy(student)
    deactivate_requires_grad(teacher)
    return teacher


def follow(student: nn.Module, teacher: nn.Module, momentum: float) -> None:
    """Move the teacher's parameters towards the student's; its buffers stay its own.

    So a teacher's batch norm keeps its own running statistics; in training it uses those of its batch [BYOL, MoCo v3]. Written
    as t + (1 - m)·(s - t), so that what is fixed in the student stays fixed; lightly's m·t + (1 - m)·s moves it by rounding.
    """
    with torch.no_grad():
        torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1.0 - momentum)


def momentum_at(progress: float, start: float, end: float = 1.0) -> float:
    """Return the cosine from ``start`` to ``end`` at ``progress`` [BYOL, section 3.2]."""
    return end - (end - start) * (math.cos(math.pi * progress) + 1.0) / 2.0
