"""The contract of a method as checks on any method's class: ``sslbench check`` and the tests of all methods use them."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from bench.errors import Diverged, SslbenchError
from bench.foreign_code import described, place_of
from bench.training.trial import Sample, Trial
from methods.base import Method

TEACHER = re.compile(
    r"teacher.*|(target|momentum|ema)(_(encoder|backbone|network|model|projector|projection|head))?", re.IGNORECASE
)
"""Names of modules that follow others and are not trained by the loss."""
STEPS = 3
"""Steps after which parameters are compared: some have no gradient in the first step."""
TOLERANCE = 1e-4


class Broken(SslbenchError):
    """A method does not keep the contract; the message says what, and where."""


def views_are_in_range(trial: Trial) -> None:
    """Check that the pipeline returns tensors in [0, 1], the same number for each image; the harness normalises them."""
    traits = trial.sample.traits
    pipeline = trial.cls.views(trial.cls.Settings(), traits)
    counts = set()
    for number in range(4):
        pixels = trial.sample.images[number].numpy()
        image = Image.fromarray(pixels[0] if traits.channels == 1 else pixels.transpose(1, 2, 0))
        views = pipeline(image)
        views = list(views) if isinstance(views, list | tuple) else [views]
        counts.add(len(views))
        for position, view in enumerate(views):
            if not isinstance(view, Tensor):
                raise Broken(f"view {position} is a {type(view).__name__}; it must be a tensor (end with ToTensor)")
            is_image = view.ndim >= 3 and view.shape[-3] == traits.channels
            if is_image and view.is_floating_point() and not (view.min() >= -TOLERANCE and view.max() <= 1 + TOLERANCE):
                low, high = view.min().item(), view.max().item()
                raise Broken(
                    f"view {position} has values from {low:.3g} to {high:.3g}; they must be in [0, 1]: remove Normalize, "
                    "the harness normalises views"
                )
    if len(counts) > 1:
        raise Broken(f"the number of views differs between images: {sorted(counts)}")
    for position, view in enumerate(trial.batch(0).views):
        if not bool(view.isfinite().all()):
            raise Broken(f"view {position} is not finite")


def steps_change_what_learns(trial: Trial) -> None:
    """Check that steps change every trained parameter and teacher, and nothing else, and that teachers get no gradient."""
    method = trial.method()
    optimizer = trial.optimizer(method)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    copies = _copies(method)
    trained = {name: p.requires_grad for name, p in method.named_parameters() if not is_teacher(name)}
    with_gradient: set[str] = set()
    for number in range(STEPS):
        trial.step(method, optimizer, number)
        with_gradient |= {name for name, p in method.named_parameters() if p.grad is not None}
    grouped = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, p in method.named_parameters():
        if is_teacher(name) and p.requires_grad:
            raise Broken(f"{name}: a teacher must not get a gradient; call requires_grad_(False) on it")
    trained_copies = {
        name: p.detach().clone() for name, p in method.named_parameters() if name in copies and p.requires_grad
    }
    method.after_step(0.5)
    for name, p in method.named_parameters():
        if name in trained_copies and not torch.equal(p, trained_copies[name]):
            raise Broken(
                f"{name}: starts as a copy of {copies[name]}, and after_step changes it as well as the gradient; freeze a teacher "
                "with requires_grad_(False)"
            )
    in_backbone = set() if method.backbone is None else {id(p) for p in method.backbone.parameters()}
    for name, p in method.named_parameters():
        changed = not torch.equal(p, before[name])
        if (id(p) in grouped) != p.requires_grad:
            where = "not in parameter_groups" if p.requires_grad else "frozen, but in parameter_groups"
            raise Broken(f"{name}: is {where}")
        if p.requires_grad and name not in with_gradient:
            original = f"; it starts as a copy of {copies[name]}" if name in copies else ""
            raise Broken(
                f"{name}: gets no gradient{original}; use it in the loss, or freeze it with requires_grad_(False)"
            )
        # A bias before a batch norm has almost no gradient, so the teacher's may not change; nor do copies of fixed positions.
        follows = is_teacher(name) and p.ndim > 1 and trained.get(copies.get(name, name), True)
        if not changed and (p.requires_grad or follows):
            raise Broken(f"{name}: did not change in {STEPS} steps")
        if changed and not p.requires_grad and id(p) in in_backbone:
            raise Broken(f"{name}: is a fixed part of the backbone, but it changed")


def resumes_exactly(trial: Trial) -> None:
    """Check that after saving and loading ``state_dict`` the next losses are equal bit for bit."""
    method = trial.method()
    optimizer = trial.optimizer(method)
    for number in range(STEPS):
        trial.step(method, optimizer, number)
    loaded = trial.method(seed=1)
    loaded_optimizer = trial.optimizer(loaded)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()))
    loaded_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in range(STEPS, 2 * STEPS):
        first = trial.step(method, optimizer, number).total
        second = trial.step(loaded, loaded_optimizer, number).total
        if not torch.equal(first, second):
            raise Broken(
                f"the loss {number - STEPS + 1} steps after loading is {second.item():.8g} instead of {first.item():.8g}: keep all "
                "state in parameters and buffers, and draw random numbers from batch.generator or torch"
            )


def is_finite_in_bf16(trial: Trial, steps: int = 10) -> None:
    """Check that loss, parts and state stay finite under bf16, and that the loss is float32."""
    method = trial.method()
    optimizer = trial.optimizer(method)
    initial = {name for name, value in method.state_dict().items() if not bool(torch.isfinite(value).all())}
    for number in range(steps):
        loss = trial.step(method, optimizer, number, bf16=True)
        for name, value in {"the loss": loss.total, **loss.parts}.items():
            if not bool(torch.isfinite(value).all()):
                raise Broken(f"{name} became {value.item()} in step {number + 1} under bf16")
    for name, value in method.state_dict().items():
        if name not in initial and not bool(torch.isfinite(value).all()):
            raise Broken(f"{name} became NaN or infinite within {steps} steps under bf16")


def encoder_is_per_image(trial: Trial) -> None:
    """Check that the encoder returns finite features of the promised width, which do not depend on the other images of a batch."""
    encoder = trial.method().eval().encoder().eval()
    spec = encoder.input
    scale = trial.sample.images[trial.sample.positions(0)].float() / 255
    images = (scale - torch.tensor(spec.mean)[:, None, None]) / torch.tensor(spec.std)[:, None, None]
    if images.shape[1:] != (spec.channels, spec.size, spec.size):
        images = torch.nn.functional.interpolate(images, (spec.size, spec.size))
    with torch.no_grad():
        features, alone = encoder.features(images), encoder.features(images[:1])
    if features.shape != (len(images), encoder.dim):
        raise Broken(f"features have shape {tuple(features.shape)}, not {(len(images), encoder.dim)}")
    if not bool(features.isfinite().all()):
        raise Broken("features are not finite")
    if not torch.allclose(features[:1], alone, rtol=1e-4, atol=1e-5):
        raise Broken("the features of an image depend on the other images of its batch")


def is_teacher(name: str) -> bool:
    """Whether the name of a parameter is that of a teacher's."""
    return any(TEACHER.fullmatch(part) for part in name.split("."))


def _copies(method: Method) -> dict[str, str]:
    """Return the matrices and filters that start equal to another one, by name."""
    found: dict[str, str] = {}
    named = [(name, p) for name, p in method.named_parameters() if p.ndim > 1]
    for position, (name, p) in enumerate(named):
        for other, q in named[:position]:
            if p.shape == q.shape and torch.equal(p, q):
                found[name] = other
                break
    return found


OF_TRAINED: dict[str, Callable[[Trial], None]] = {
    "views are tensors in [0, 1] and finite when normalised": views_are_in_range,
    "steps change what learns and nothing else; a teacher gets no gradient": steps_change_what_learns,
    "after saving and loading the next losses are equal": resumes_exactly,
    "loss and state stay finite under bf16, the loss is float32": is_finite_in_bf16,
}
OF_ALL: dict[str, Callable[[Trial], None]] = {"features of an image do not depend on its batch": encoder_is_per_image}
BACKBONES = {"convolutional": "resnet9_slim", "transformer": "vit_nano"}
"""The backbone on which a method is checked, by kind."""


@dataclass(frozen=True)
class Verdict:
    """Result of one check; ``problem`` is None if the method keeps this part of the contract."""

    check: str
    problem: str | None


def verdicts(cls: type[Method], sample: Sample) -> Iterator[Verdict]:
    """Check a method on each kind of backbone that it takes, and yield the result of each check as soon as it is known.

    Args:
        cls: The method's class, whose declarations are checked already.
        sample: The images.

    Yields:
        One verdict per check and backbone. Whatever the method raises is a problem; only Ctrl-C passes.
    """
    needed = cls.needs.backbone
    names = [name for kind, name in BACKBONES.items() if needed in ("any", kind)] or ["no backbone"]
    checks = (OF_TRAINED if cls.needs.training else {}) | OF_ALL
    for name in names:
        trial = Trial(cls, name, sample)
        for check, function in checks.items():
            yield Verdict(f"{check} ({name})", _problem(function, trial))


def _problem(function: Callable[[Trial], None], trial: Trial) -> str | None:
    try:
        function(trial)
    except KeyboardInterrupt:
        raise
    except (SslbenchError, Diverged) as error:
        return str(error)
    except BaseException as error:  # a plugin may raise anything, also SystemExit
        place = place_of(error)
        return f"{place}: {described(error)}" if place else described(error)
    return None
