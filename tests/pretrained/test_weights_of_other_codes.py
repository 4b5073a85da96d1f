"""Files of weights as other codes write them: the features are those of the network that was saved, or the file is refused."""

import math

import numpy as np
import pytest
import timm
import torch
import torchvision
from support.in_process import context_of, options_of
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import nn

from bench.backbones import build
from bench.errors import SslbenchError
from bench.execution.encoder import encoder_of
from bench.planning.plan_runs import plan_runs
from bench.planning.request import Request
from bench.pretrained.checkpoint_file import CheckpointFile
from bench.pretrained.image_input import PretrainedSettings
from bench.pretrained.method import RestartableEncoder
from bench.pretrained.plugin_function import EncoderFunction
from bench.pretrained.timm_models import TimmModel
from bench.views.prepare import prepare
from methods.traits import Traits

SIZE = 32
TRAITS = Traits(3, SIZE, 4, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), False, 100, 100)
IMAGES = torch.randint(0, 256, (3, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
NONE = PretrainedSettings()


def network(name="resnet18", seed=1, padding=1):
    """torchvision's network with a stem for small images and statistics as after a training."""
    torch.manual_seed(seed)
    net = getattr(torchvision.models, name)(num_classes=7)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, 1, padding, bias=False), nn.Identity()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net.eval()


@pytest.fixture(scope="module")
def weights():
    return network().state_dict()


@pytest.fixture(scope="module")
def others():
    return network(seed=2).state_dict()


@torch.no_grad()
def features_of(net):
    net.fc = nn.Identity()
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (TRAITS.mean, TRAITS.std))
    return net((IMAGES / 255 - mean) / std)


@pytest.fixture(scope="module")
def expected():
    return features_of(network())


@torch.no_grad()
def features(built):
    return RestartableEncoder(built).eval().features(prepare(IMAGES, built.input, "cpu"))


def built_from(content, folder, backbone="resnet18", traits=TRAITS, settings=NONE):
    file = folder / "weights.pth"
    torch.save(content, file)
    return CheckpointFile(file, backbone).build(traits, settings)


def under(prefix, weights):
    return {prefix + name: tensor for name, tensor in weights.items()}


def renamed(weights, *pairs):
    found = {}
    for name, tensor in weights.items():
        for old, new in pairs:
            name = new + name.removeprefix(old) if name.startswith(old) else name
        found[name] = tensor
    return found


def trunk(weights):
    return {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}


def parameters(weights):
    return {name: tensor for name, tensor in weights.items() if "running" not in name and "num_batches" not in name}


FORMS = {
    "compiled and parallel": lambda w, o: {"state_dict": under("_orig_mod.module.backbone.", w)},
    "shortcut for downsample": lambda w, o: {
        "model": {f"module.encoder.{n.replace('downsample', 'shortcut')}": t for n, t in trunk(w).items()}
    },
    "convolution of the stem in a sequence": lambda w, o: renamed(w, ("conv1.", "conv1.0.")),
    "stem of one module": lambda w, o: renamed(w, ("conv1.", "conv1.conv."), ("bn1.", "conv1.bn.")),
    "stem and its norm in a sequence": lambda w, o: renamed(w, ("conv1.", "conv1.0."), ("bn1.", "conv1.1.")),
    "another head": lambda w, o: w | {"fc.weight": torch.ones(365, 512), "fc.bias": torch.ones(365)},
    "heads, prototypes and a queue": lambda w, o: (
        trunk(w)
        | {"projection_head.0.weight": torch.ones(512, 512), "prototypes.weight": torch.ones(3, 128)}
        | {"queue": torch.ones(4, 8), "queue_ptr": torch.zeros(1, dtype=torch.long), "head.bn1.weight": torch.ones(3)}
    ),
    "teacher rather than student": lambda w, o: {
        "student": under("module.backbone.", o),
        "teacher": under("backbone.", w),
    },
    "target encoder of I-JEPA": lambda w, o: {
        "encoder": under("module.", o),
        "predictor": {"module.conv1.weight": torch.ones(2)},
        "target_encoder": under("module.", w),
    },
    "online network of BYOL": lambda w, o: under("online_encoder.net.", w) | under("target_encoder.net.", o),
    "query encoder of MoCo": lambda w, o: under("module.encoder_q.", w) | under("module.encoder_k.", o),
    "base encoder of MoCo v3": lambda w, o: under("module.base_encoder.", w) | under("module.momentum_encoder.", o),
    "moving average": lambda w, o: {"state_dict": o, "state_dict_ema": w},
    "moments of Adam by name": lambda w, o: {"model": w, "optimizer": {"exp_avg": o, "exp_avg_sq": o}},
    "the same network twice": lambda w, o: under("backbone.", w) | under("model.backbone.", w),
    "float64": lambda w, o: {n: t.double() if t.is_floating_point() else t for n, t in w.items()},
    "arrays of numpy": lambda w, o: {"model": {n: t.numpy() for n, t in w.items()}},
    "arrays of numpy in Fortran's order": lambda w, o: {n: np.asfortranarray(t.numpy()) for n, t in w.items()},
    "big-endian arrays": lambda w, o: {n: t.numpy().astype(t.numpy().dtype.newbyteorder(">")) for n, t in w.items()},
    "a number of numpy next to them": lambda w, o: {"state_dict": w, "best": np.float64(71.3), "n": np.int64(3)},
    "a sparse tensor next to them": lambda w, o: {"state_dict": w, "mask": torch.eye(3).to_sparse()},
    "without counters": lambda w, o: {n: t for n, t in w.items() if "num_batches" not in n},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_file_gives_the_features_of_the_network_that_was_saved(form, weights, others, expected, tmp_path):
    built = built_from(FORMS[form](weights, others), tmp_path)
    torch.testing.assert_close(features(built), expected, atol=1e-4, rtol=1e-4)
    assert not built.lacks_statistics


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_features_of_the_rounded_weights(dtype, weights, tmp_path):
    half = {name: t.to(dtype) if t.is_floating_point() else t for name, t in weights.items()}
    net = network(seed=3)
    net.load_state_dict(half)
    torch.testing.assert_close(features(built_from(half, tmp_path)), features_of(net), atol=1e-4, rtol=1e-4)


def test_a_stem_with_other_padding_is_another_backbone(weights, expected, tmp_path):
    padded = built_from(weights, tmp_path, "resnet18_pad2")
    torch.testing.assert_close(features(padded), features_of(network(padding=2)), atol=1e-4, rtol=1e-4)
    plain = built_from(weights, tmp_path)
    assert not torch.allclose(features(padded), features(plain), atol=1e-2)
    assert any("padding 1" in note for note in plain.notes), "what the weights do not show is a note"
    assert any("padding 2" in note for note in padded.notes)


def without(weights, name):
    return {n: t for n, t in weights.items() if n != name}


def nan_in(weights, name):
    changed = weights[name].clone()
    changed.view(-1)[3] = math.nan
    return weights | {name: changed}


def deeper(weights):
    return network("resnet34").state_dict()


def half_of_the_statistics(weights):
    return {name: t for name, t in weights.items() if not ("running" in name and name.startswith("layer4"))}


REFUSED = {
    "one tensor missing": (
        lambda w, o: without(w, "layer1.0.bn1.bias"),
        "1 of the 100 tensors of resnet18 does not fit: layer1.0.bn1.bias is missing",
    ),
    "one tensor of another shape": (
        lambda w, o: w | {"layer1.0.bn2.weight": torch.ones(7)},
        "layer1.0.bn2.weight is 7 in the file, 64 here",
    ),
    "the last stage missing": (
        lambda w, o: {n: t for n, t in w.items() if not n.startswith("layer4")},
        "25 of the 100 tensors .* and 19 more",
    ),
    "the first layer missing": (lambda w, o: without(w, "conv1.weight"), "conv1.weight is missing"),
    "a stem of three convolutions": (
        lambda w, o: renamed(w, ("conv1.weight", "conv1.6.weight")) | {"conv1.0.weight": torch.ones(32, 3, 3, 3)},
        "conv1.0.weight is 32×3×3×3 in the file",
    ),
    "some running statistics missing": (lambda w, o: half_of_the_statistics(w), "running_mean is missing"),
    "a deeper network": (lambda w, o: deeper(w), "its backbone has 80 tensors .* layer1.2.conv1.weight"),
    "biases of convolutions": (lambda w, o: w | {"conv1.bias": torch.zeros(64)}, "1 tensor .* conv1.bias"),
    "squeeze and excitation": (
        lambda w, o: w | {"layer1.0.se.fc.weight": torch.zeros(4, 64)},
        "layer1.0.se.fc.weight",
    ),
    "a fifth stage": (lambda w, o: w | {"layer5.0.conv1.weight": torch.zeros(4, 4, 3, 3)}, "layer5.0.conv1.weight"),
    "weights that are NaN": (lambda w, o: nan_in(w, "layer4.1.bn2.weight"), "1 of 512 numbers that are NaN"),
    "negative variances": (
        lambda w, o: w | {"bn1.running_var": -w["bn1.running_var"]},
        "bn1.running_var has negative variances",
    ),
    "quantised weights": (
        lambda w, o: w | {"layer4.1.conv2.weight": (w["layer4.1.conv2.weight"] * 100).to(torch.int8)},
        "layer4.1.conv2.weight is int8 in the file",
    ),
    "two networks": (lambda w, o: under("first.", w) | under("second.", o), "'first.' and 'second.'"),
    "a teacher that lacks a tensor": (
        lambda w, o: {"student": o, "teacher": without(w, "bn1.weight")},
        r"\(under 'teacher.'\): 1 of the 100",
    ),
    "an entry whose name another spells": (
        lambda w, o: {"model": w, "model.conv1.weight": o["conv1.weight"]},
        "two tensors named model.conv1.weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_is_another_one_is_refused_in_one_line(case, weights, others, tmp_path):
    make, message = REFUSED[case]
    with pytest.raises(SslbenchError, match=message) as caught:
        built_from(make(weights, others), tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1200


def test_grey_weights_are_refused_for_colour_images(tmp_path):
    grey = network()
    grey.conv1 = nn.Conv2d(1, 64, 3, 1, 1, bias=False)
    with pytest.raises(SslbenchError, match="64×1×3×3 in the file, 64×3×3×3 here"):
        built_from(grey.state_dict(), tmp_path)


def test_statistics_that_are_missing_are_measured_over_train_and_noted(tmp_path):
    options = options_of(tmp_path / "results")
    digits = options.dataset.load()
    torch.manual_seed(0)
    saved = build("resnet9_slim", digits.traits)
    file = tmp_path / "parameters.pth"
    torch.save(parameters(saved.state_dict()), file)
    request = Request(methods=[f"checkpoint:{file}"], backbone="resnet9_slim", protocols=("knn",))
    planned = plan_runs(request, options)
    encoder = encoder_of(planned.runs[0], digits, context_of(options), lambda _: None).network
    (note,) = [note for note in encoder.notes if "running statistics" in note]
    assert "measured over the 1,438 training images" in note
    assert any(note in line for line in planned.notes), "it is also printed before the run"
    with torch.no_grad():
        first = saved.layers[0][0](prepare(digits.train_images, encoder.input, "cpu"))
    torch.testing.assert_close(
        encoder.state_dict()["backbone.layers.0.1.running_mean"], first.mean((0, 2, 3)), atol=1e-4, rtol=1e-3
    )


# Normalisation.


def test_the_normalisation_of_a_checkpoint_can_be_given_and_is_always_shown(weights, expected, tmp_path):
    other = Traits(3, SIZE, 4, (0.1, 0.1, 0.1), (0.9, 0.9, 0.9), False, 100, 100)
    default = built_from(weights, tmp_path, traits=other)
    assert not torch.allclose(features(default), expected, atol=1e-2)
    assert "mean 0.1, 0.1, 0.1 and std 0.9, 0.9, 0.9: the data set's" in default.notes[0]
    given = built_from(weights, tmp_path, traits=other, settings=PretrainedSettings(mean=TRAITS.mean, std=TRAITS.std))
    torch.testing.assert_close(features(given), expected, atol=1e-4, rtol=1e-4)
    assert "mean 0.5, 0.4, 0.3 and std 0.2, 0.3, 0.4: given by --set" in given.notes[0]
    one_for_all = built_from(weights, tmp_path, settings=PretrainedSettings(mean=0, std=1))
    assert (one_for_all.input.mean, one_for_all.input.std) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (PretrainedSettings(mean=0.5), "give mean and std together"),
        (PretrainedSettings(mean=(0.5, 0.5), std=(0.5, 0.5)), "has 2 numbers; the network takes 3"),
        (PretrainedSettings(mean=(123.7, 116.3, 103.5), std=(58.4, 57.1, 57.4)), "divide values .* by 255"),
        (PretrainedSettings(mean=0.5, std=0), "std above 0"),
        (PretrainedSettings(mean=math.nan, std=0.5), "between 0 and 1"),
        (PretrainedSettings(size=10**9), "between 1 and 2048"),
        (PretrainedSettings(size=0), "between 1 and 2048"),
    ],
)
def test_a_normalisation_or_size_that_makes_no_sense_is_refused(settings, message, weights, tmp_path):
    with pytest.raises(SslbenchError, match=message):
        built_from(weights, tmp_path, settings=settings)


# Vision transformers and timm.


def test_positions_of_another_image_size_are_resampled_as_timm_does(tmp_path):
    torch.manual_seed(0)
    arguments = {"patch_size": 4, "embed_dim": 64, "depth": 4, "num_heads": 4, "num_classes": 0, "global_pool": ""}
    saved = VisionTransformer(img_size=24, **arguments)
    nn.init.normal_(saved.pos_embed)
    built = built_from({"teacher": under("backbone.", saved.state_dict())}, tmp_path, "vit_nano")
    reference = VisionTransformer(img_size=SIZE, **arguments).eval()
    reference.load_state_dict(checkpoint_filter_fn(saved.state_dict(), reference))
    with torch.no_grad():
        tokens = reference(prepare(IMAGES, built.input, "cpu"))
    torch.testing.assert_close(features(built), tokens[:, 1:].mean(1), atol=1e-4, rtol=1e-4)
    assert any("6×6 patches where this image size has 8×8" in note for note in built.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"reg_token": torch.ones(1, 4, 64)}, "its backbone has 1 tensor .* reg_token"),
        (lambda w: w | {"pos_embed": torch.ones(1, 64, 64)}, "pos_embed is 1×64×64 in the file, 1×65×64 here"),
        (lambda w: w | {"patch_embed.proj.weight": torch.ones(64, 3, 8, 8)}, "--set size=N .*patches"),
        (lambda w: w | {"blocks.4.norm1.weight": torch.ones(64)}, "blocks.4.norm1.weight"),
        (lambda w: without(w, "norm.weight"), "norm.weight is missing"),
    ],
)
def test_another_transformer_is_refused(change, message, tmp_path):
    weights = build("vit_nano", TRAITS).vit.state_dict()
    with pytest.raises(SslbenchError, match=message):
        built_from(change(weights), tmp_path, "vit_nano")


def test_decoders_and_mask_tokens_do_not_belong_to_a_transformers_backbone(tmp_path):
    vit = build("vit_nano", TRAITS).vit
    decoder = {"mask_token": torch.ones(1, 1, 32), "decoder_pos_embed": torch.ones(1, 65, 32)}
    decoder |= {"decoder_blocks.0.norm1.weight": torch.ones(32), "decoder_norm.weight": torch.ones(32)}
    built = built_from({"model": vit.state_dict() | decoder, "epoch": 1}, tmp_path, "vit_nano")
    assert all(torch.equal(a, b) for a, b in zip(built.backbone.vit.parameters(), vit.parameters(), strict=True))


def timm_file(tmp_path, size, change=lambda weights: weights):
    torch.manual_seed(3)
    saved = timm.create_model("test_vit", img_size=size)
    nn.init.normal_(saved.pos_embed)
    file = tmp_path / "vit.pth"
    torch.save({"model": change(saved.state_dict())}, file)
    return file


@pytest.mark.parametrize(("size", "used"), [(None, 32), (96, 96), (64, 64), (160, 160)])
def test_a_timm_transformer_of_another_size_gives_the_features_of_timms_own_loader(size, used, tmp_path):
    file = timm_file(tmp_path, 96)
    built = TimmModel("test_vit", file).build(TRAITS, PretrainedSettings(size=size))
    overlay = {"file": str(file)}
    reference = timm.create_model(
        "test_vit", pretrained=True, num_classes=0, img_size=used, pretrained_cfg_overlay=overlay
    )
    with torch.no_grad():
        expected = reference.eval()(prepare(IMAGES, built.input, "cpu"))
    assert built.input.size == used
    torch.testing.assert_close(features(built), expected, atol=1e-5, rtol=1e-5)
    assert any("pos_embed from 1×37×64" in note for note in built.notes) == (used != 96)
    assert RestartableEncoder(built).from_random_start().features(prepare(IMAGES, built.input, "cpu")).shape[0] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: without(w, "blocks.1.attn.qkv.weight"), "blocks.1.attn.qkv.weight is missing"),
        (lambda w: w | {"norm.weight": torch.ones(3)}, "norm.weight is 3 in the file"),
        (lambda w: w | {"blocks.99.norm1.weight": torch.ones(64)}, "blocks.99.norm1.weight"),
        (lambda w: w | {"dist_token": torch.ones(1, 1, 64)}, "dist_token"),
        (lambda w: nan_in(w, "norm.bias"), "NaN or infinite"),
    ],
)
def test_weights_of_another_network_are_refused_for_a_timm_model(change, message, tmp_path):
    with pytest.raises(SslbenchError, match=message):
        TimmModel("test_vit", timm_file(tmp_path, 160, change)).build(TRAITS, NONE)


def test_a_timm_model_that_does_not_accept_a_size_says_so(tmp_path):
    with pytest.raises(SslbenchError, match=r"does not accept images of 5 pixels .*; its own size is 160"):
        TimmModel("test_vit", timm_file(tmp_path, 160)).build(TRAITS, PretrainedSettings(size=5))
    with pytest.raises(SslbenchError, match="cannot be cut into patches of 16"):
        TimmModel("test_vit", timm_file(tmp_path, 160)).build(TRAITS, PretrainedSettings(size=97))


def test_images_that_an_encoder_may_have_seen_are_noted(weights, tmp_path, monkeypatch):
    taken = Traits(3, SIZE, 4, TRAITS.mean, TRAITS.std, False, 100, 100, taken_from="ImageNet")
    file = timm_file(tmp_path, 160)
    monkeypatch.setattr("bench.pretrained.timm_models._cached", lambda model: file)
    own = TimmModel("test_vit.r160_in1k", None).build(taken, NONE)
    assert any(note.startswith("pretrained on ImageNet, from which the images were taken") for note in own.notes)
    unknown = [
        TimmModel("test_vit", file).build(taken, NONE),
        built_from(weights, tmp_path, traits=taken),
        EncoderFunction("plugin", nn.Flatten, {}, "").build(taken, NONE),
    ]
    for built in unknown:
        assert any("whether the encoder was pretrained on ImageNet is not known" in note for note in built.notes)
    assert not any("ImageNet" in note for note in TimmModel("test_vit.r160_in1k", None).build(TRAITS, NONE).notes)


def test_imagenette_and_stl10_are_taken_from_imagenet():
    from bench.data.catalogue import ENTRIES

    assert {entry.name for entry in ENTRIES if entry.taken_from == "ImageNet"} == {"imagenette", "stl10"}
