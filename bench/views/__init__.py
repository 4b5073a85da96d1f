"""Batched image transforms on the device: the views of a method, the augmentations of protocols, the input of encoders."""

from bench.views.compile import Views, compile_views, why_not_batched
from bench.views.evaluation import augment
from bench.views.prepare import normalise, prepare

__all__ = ["Views", "augment", "compile_views", "normalise", "prepare", "why_not_batched"]
