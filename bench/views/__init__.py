"""Views: what a pipeline object, a protocol or an encoder makes of uint8 images, a batch at a time, on their device."""

from bench.views.compile import Views, compile_views, why_not_batched
from bench.views.evaluation import augment
from bench.views.prepare import normalise, prepare

__all__ = ["Views", "augment", "compile_views", "normalise", "prepare", "why_not_batched"]
