"""Encoders pretrained elsewhere: which weights fit, which files are refused, and the records and tables of their runs."""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from bench.backbones import build
from bench.backbones.catalogue import find
from bench.data import load
from bench.errors import SslbenchError
from bench.evaluation.evaluate import Evaluation
from bench.evaluation.features import extract
from bench.pretrained.checkpoint_file import CheckpointFile
from bench.pretrained.image_input import PretrainedSettings
from bench.pretrained.method import RestartableEncoder, record_name
from bench.pretrained.timm_models import TimmModel
from bench.records.record import Record
from bench.records.store import Store
from bench.registry.methods import origin_of
from bench.registry.plugins import load_plugin
from bench.views.prepare import prepare
from methods.base import Encoder, input_of

DEFAULT = PretrainedSettings()


@pytest.fixture(scope="module")
def digits():
    return load("digits")


@pytest.fixture(scope="module")
def weights():
    """State dict of torchvision's ResNet-18 with a stem for small images."""
    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    return network.state_dict()


def without_head(weights):
    return {name: tensor for name, tensor in weights.items() if not name.startswith("fc.")}


def prefixed(prefix, weights):
    return {prefix + name: tensor for name, tensor in weights.items()}


def zeros_like(weights):
    return {name: torch.zeros_like(tensor) for name, tensor in weights.items()}


def sequential(weights):
    """The names of a backbone built as in lightly's examples: nn.Sequential(*list(resnet.children())[:-1])."""
    indices = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}
    parts = {name: name.partition(".") for name in without_head(weights)}
    return {f"backbone.{indices[first]}.{rest}": weights[name] for name, (first, _, rest) in parts.items()}


FORMS = {
    "plain": lambda w: w,
    "state_dict": lambda w: {"epoch": 3, "state_dict": w, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
    "model": lambda w: {"model": prefixed("module.", w), "args": argparse.Namespace(lr=0.1)},
    "moco": lambda w: {
        "state_dict": prefixed("module.encoder_k.", zeros_like(w))
        | prefixed("module.encoder_q.", without_head(w))
        | {"module.encoder_q.fc.0.weight": torch.zeros(4, 4), "module.queue": torch.zeros(4, 8)}
    },
    "solo-learn": lambda w: {
        "state_dict": prefixed("momentum_backbone.", zeros_like(w)) | prefixed("backbone.", without_head(w))
    },
    "lightly": lambda w: {
        "state_dict": sequential(w)
        | {k.replace("e.", "e_momentum.", 1): v for k, v in sequential(zeros_like(w)).items()}
    },
    "dino": lambda w: {
        "student": prefixed("module.backbone.", zeros_like(w)),
        "teacher": prefixed("backbone.", w) | {"head.mlp.0.weight": torch.zeros(2, 2)},
    },
    "vissl": lambda w: {
        "classy_state_dict": {"base_model": {"model": {"trunk": prefixed("_feature_blocks.", without_head(w))}}}
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_common_checkpoint_formats_load_all_weights(form, weights, digits, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(FORMS[form](weights), file)
    built = CheckpointFile(file, "resnet18").build(digits.traits, DEFAULT)
    ours, theirs = built.backbone.state_dict(), without_head(weights)
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours.values(), theirs.values(), strict=True))
    assert (built.input.channels, len(built.input.mean)) == (3, 3), "grey images are repeated to three channels"
    assert "100 of 100 tensors of resnet18 loaded" in built.lines[0]


class Code:
    def __reduce__(self):
        return (print, ("this must never be printed",))


REFUSED = {
    "code": (lambda w: {"state_dict": w, "callback": Code()}, "contains code"),
    "nothing fits": (lambda w: {"decoder.weight": torch.zeros(3, 3)}, "no tensor in it fits"),
    "another stem": (lambda w: w | {"conv1.weight": torch.zeros(64, 3, 7, 7)}, "--set size=N"),
    "no tensors": (lambda w: {"epoch": 3}, "contains no tensors"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(case, weights, digits, tmp_path, capfd):
    make, message = REFUSED[case]
    file = tmp_path / "weights.pth"
    torch.save(make(weights), file)
    with pytest.raises(SslbenchError, match=message) as caught:
        CheckpointFile(file, "resnet18").build(digits.traits, DEFAULT)
    assert "\n" not in str(caught.value)
    assert "never be printed" not in capfd.readouterr().out


def test_a_text_file_is_refused(digits, tmp_path):
    for name in ("text.pth", "text.safetensors"):
        file = tmp_path / name
        file.write_text("no weights")
        with pytest.raises(SslbenchError, match=name):
            CheckpointFile(file, "resnet18").build(digits.traits, DEFAULT)


def test_an_imagenet_stem_fits_larger_images(digits, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(torchvision.models.resnet18().state_dict(), file)
    built = CheckpointFile(file, "resnet18").build(digits.traits, PretrainedSettings(size=96))
    assert built.input.size == 96
    assert "100 of 100 tensors of resnet18 loaded" in built.lines[0]


def test_a_checkpoint_computes_what_its_network_computes(weights, digits, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(weights, file)
    built = CheckpointFile(file, "resnet18").build(digits.traits, PretrainedSettings(size=64))
    network = torchvision.models.resnet18()
    network.conv1, network.maxpool, network.fc = (
        nn.Conv2d(3, 64, 3, padding=1, bias=False),
        nn.Identity(),
        nn.Identity(),
    )
    network.load_state_dict(without_head(weights))
    images = prepare(digits.test_images[:4], built.input, "cpu")
    assert torch.allclose(RestartableEncoder(built).eval().features(images), network.eval()(images), atol=1e-4)


@pytest.mark.parametrize(("model", "size"), [("test_resnet", 28), ("test_vit", 160)])
def test_a_timm_model_gets_images_prepared_by_its_own_configuration(model, size, digits, tmp_path):
    torch.manual_seed(0)
    network = timm.create_model(model, num_classes=0).eval()
    file = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(timm.create_model(model).state_dict() | network.state_dict(), file)
    built = TimmModel(model, file).build(replace(digits.traits, size=28), DEFAULT)
    assert built.input.size == size, "the data set's size if the model accepts it, else its own"
    assert built.input.mean == network.pretrained_cfg["mean"]
    encoder = RestartableEncoder(built).eval()
    images = prepare(digits.test_images[:2], built.input, "cpu")
    assert images.shape[1] == 3
    assert torch.allclose(encoder.features(images), network(images), atol=1e-5)
    maps = encoder.feature_map(images)
    assert maps is not None
    assert maps.shape[1] == encoder.dim
    fresh = encoder.from_random_start()
    assert not torch.equal(next(fresh.parameters()), next(encoder.parameters()))


def test_timms_cache_is_read_and_nothing_is_downloaded(digits, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(cache), raising=False)
    with pytest.raises(SslbenchError, match="timm:test_resnet@FILE"):
        TimmModel("test_resnet", None).build(digits.traits, DEFAULT)
    torch.manual_seed(0)
    network = timm.create_model("test_resnet")
    repository = cache / "models--timm--test_resnet.r160_in1k"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    (repository / "snapshots" / ("0" * 40)).mkdir(parents=True)
    safetensors.torch.save_file(network.state_dict(), repository / "snapshots" / ("0" * 40) / "model.safetensors")
    built = TimmModel("test_resnet", None).build(digits.traits, DEFAULT)
    assert torch.equal(next(built.backbone.parameters()), next(network.parameters()))


ENCODER = """
import torch
from torch import nn

INPUT = {"size": 12}


def encoder():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Dropout(0.5))


def _helper():
    pass
"""


def plugin(folder: Path, name: str, text: str):
    (folder / f"{name}.py").write_text(text)
    load_plugin(str(folder / f"{name}.py"))
    origin = origin_of(name, None)
    assert origin is not None
    return origin


def test_a_function_that_returns_a_module_is_an_encoder(digits, tmp_path):
    origin = plugin(tmp_path, "maps_of_twelve", ENCODER)
    built = origin.build(digits.traits, DEFAULT)
    assert (built.backbone.dim, built.input.size, built.input.channels) == (6, 12, 3)
    encoder = RestartableEncoder(built).eval()
    images = prepare(digits.test_images[:3], built.input, "cpu")
    maps = encoder.feature_map(images)
    assert maps is not None
    assert torch.allclose(encoder.features(images), maps.mean(dim=(2, 3)))
    assert origin.digest() == origin.digest(), "random weights are the same in every call"


@pytest.mark.parametrize(
    ("returned", "message"),
    [("3", "must return an nn.Module"), ("nn.Unflatten(1, (1, 1))", "B×D"), ("1 / 0", "ZeroDivisionError")],
)
def test_a_function_that_returns_something_else_is_an_error_in_one_line(returned, message, digits, tmp_path):
    name = f"wrong_{abs(hash(returned))}"
    origin = plugin(tmp_path, name, f"from torch import nn\n\n\ndef encoder():\n    return {returned}\n")
    with pytest.raises(SslbenchError, match=message) as caught:
        origin.build(digits.traits, DEFAULT)
    assert "\n" not in str(caught.value)


def test_a_file_with_other_content_is_another_row(weights, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(weights, file)
    first = record_name(CheckpointFile(file, "resnet18"))
    torch.save(zeros_like(weights), file)
    assert record_name(CheckpointFile(file, "resnet18")) != first
    assert first.startswith("checkpoint-weights-")


def test_scratch_protocols_start_from_random_weights_of_the_same_network(digits, tmp_path):
    origin = plugin(tmp_path, "own_network", ENCODER)
    encoder = RestartableEncoder(origin.build(digits.traits, DEFAULT)).eval()
    task = Evaluation(encoder, digits, "own", 0).task("scratch-1")
    assert task.scratch_encoder is not None
    first = task.scratch_encoder(torch.Generator().manual_seed(0))
    second = task.scratch_encoder(torch.Generator().manual_seed(1))
    assert first.state_dict().keys() == encoder.state_dict().keys()
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def records(tmp_path) -> dict[str, Record]:
    return {
        record.identity.method.rpartition("-")[0] or record.identity.method: record
        for record in Store(tmp_path / "results").read_all()[0]
    }


@pytest.mark.slow
def test_an_exported_encoder_has_exactly_the_same_frozen_scores(sslbench, tmp_path):
    protocols = ("--protocol", "knn", "--protocol", "linear", "--protocol", "lowshot-1-frozen")
    done = sslbench("run", "simclr", "--budget", "smoke", *protocols)
    assert done.returncode == 0, done.stderr
    done = sslbench("export", "simclr", "exported/simclr.safetensors")
    assert done.returncode == 0, done.stderr
    done = sslbench("run", "checkpoint:exported/simclr.safetensors", *protocols)
    assert done.returncode == 0, done.stderr
    assert "tensors of resnet9_slim loaded" in done.stdout
    found = records(tmp_path)
    ours, back = found["simclr"], found["checkpoint-simclr"]
    for name, measured in ours.protocols.items():
        assert (back.protocols[name].correct, back.protocols[name].metrics) == (measured.correct, measured.metrics)
    assert (back.identity.backbone, back.identity.budget, back.identity.epochs) == ("resnet9_slim", "none", 0)

    again = sslbench("run", "checkpoint:exported/simclr.safetensors", *protocols)
    assert "1 recorded, 0 to do" in again.stdout
    (table,) = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["tables"]
    assert (table["backbone"], table["budget"]) == ("resnet9_slim", "smoke")
    assert [(row["group"], row["rank"] is None) for row in table["rows"]] == [("methods", False), ("elsewhere", True)]
    refused = sslbench("export", "checkpoint-simclr", "again.safetensors")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)


@pytest.mark.slow
def test_a_timm_model_runs_under_protocols_that_train_its_network(sslbench, tmp_path):
    torch.manual_seed(0)
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.safetensors")
    name = "timm:test_resnet@weights.safetensors"
    protocols = ("--protocol", "knn", "--protocol", "lowshot-1", "--protocol", "scratch-1")
    done = sslbench("run", name, *protocols)
    assert done.returncode == 0, done.stderr
    (record,) = records(tmp_path).values()
    assert record.status == "ok"
    assert set(record.protocols) == {"knn", "lowshot-1", "scratch-1"}
    (table,) = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["tables"]
    assert [row["group"] for row in table["rows"]] == ["elsewhere"], (
        "a separate table, because no other has its data set"
    )


MISTAKES = [
    (["timm:resnet19"], "did you mean 'resnet18'"),
    (["timm:"], "timm:NAME"),
    (["timm:test_resnet@weights.pth", "--backbone", "resnet18"], "remove --backbone"),
    (["checkpoint:weights.pth"], "add --backbone NAME"),
    (["checkpoint:nowhere.pth", "--backbone", "resnet18"], "there is no file nowhere.pth"),
    (["checkpoint:"], "checkpoint:FILE"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_wrong_name_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capfd):
    import sys

    from bench.cli import main

    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": torch.zeros(2, 2)}, tmp_path / "weights.pth")
    monkeypatch.setattr(sys, "argv", ["sslbench", "run", *arguments, "--dry-run"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.slow
def test_list_methods_shows_the_forms_of_names(sslbench):
    rows = json.loads(sslbench("list", "methods", "--format", "json").stdout)
    assert {"timm:NAME", "checkpoint:FILE"} <= {row["method"] for row in rows}


@pytest.mark.parametrize(
    ("backbone", "pooling", "code"),
    [("resnet9_slim", "average", None), ("resnet9_slim", "average", 10), ("vit_nano", "class", None)],
)
def test_an_exported_file_keeps_input_pooling_and_latent_code(backbone, pooling, code, digits, tmp_path):
    network = build(backbone, digits.traits)
    latent = None if code is None else nn.Linear(network.dim, code)
    encoder = Encoder(network, input_of(digits.traits), pooling, latent).eval()
    spec = {"size": 8, "channels": 1, "mean": list(digits.traits.mean), "std": list(digits.traits.std)}
    about = {
        "backbone": backbone,
        "backbone_version": str(find(backbone).version),
        "pooling": pooling,
        "input": json.dumps(spec),
    }
    file = tmp_path / "encoder.safetensors"
    safetensors.torch.save_file(encoder.state_dict(), file, metadata=about)
    larger = replace(digits.traits, size=28, mean=(0.9,), std=(0.9,))
    back = RestartableEncoder(CheckpointFile(file, None).build(larger, DEFAULT)).eval()
    assert back.input == encoder.input, "the data set does not change how its images are prepared"
    features = [extract(e, digits.test_images[:32], lambda x, e=e: prepare(x, e.input, "cpu")) for e in (encoder, back)]
    assert torch.equal(*features)
    assert features[0].shape[1] == (code or network.dim)
    assert back.from_random_start().dim == encoder.dim
