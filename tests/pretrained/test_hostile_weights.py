"""Files of strangers and files that are no weights: one line each, no code run, and no device opened or replaced."""

import json
import os
import struct
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from support.in_process import perform
from torch import nn

from bench.atomic import check_target
from bench.backbones import build
from bench.backbones.catalogue import find
from bench.errors import SslbenchError
from bench.pretrained.checkpoint_file import CheckpointFile
from bench.pretrained.export import export
from bench.pretrained.image_input import PretrainedSettings
from bench.pretrained.names import parse_name
from bench.pretrained.weights_file import metadata, read_weights
from bench.records.store import Store
from methods.traits import Traits

TRAITS = Traits(1, 8, 10, (0.3,), (0.4,), False, 100, 100)


def weights():
    torch.manual_seed(0)
    return build("resnet9_slim", TRAITS).state_dict()


def nested(depth):
    found = {"weight": torch.ones(2)}
    for _ in range(depth):
        found = {"a": found}
    return found


def doubled(times):
    """Each dict holds the same dict twice: a small file with 2^times entries."""
    found = {"weight": torch.ones(2)}
    for _ in range(times):
        found = {"a": found, "b": found}
    return found


def containing_itself():
    found = {"weight": torch.ones(2)}
    found["self"] = found
    return found


def compressed(folder):
    torch.save(weights(), folder / "plain.pth")
    with zipfile.ZipFile(folder / "plain.pth") as plain, zipfile.ZipFile(folder / "x.pth", "w") as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member), zipfile.ZIP_DEFLATED)


def declaring_more(folder):
    """A tensor of 2^24 numbers whose record has four."""
    torch.save({"x": torch.ones(4)}, folder / "plain.pth")
    with zipfile.ZipFile(folder / "plain.pth") as plain, zipfile.ZipFile(folder / "x.pth", "w") as changed:
        for member in plain.infolist():
            data = plain.read(member)
            if member.filename.endswith("data.pkl"):
                data = data.replace(b"K\x04", b"J\x00\x00\x00\x01")
            changed.writestr(member.filename, data)


def safetensors_of(header, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text


FILES = {
    "empty": (lambda folder: (folder / "x.pth").write_bytes(b""), "is empty"),
    "only spaces": (lambda folder: (folder / "x.pth").write_bytes(b" \n" * 30), "is empty"),
    "pointer of Git LFS": (
        lambda folder: (folder / "x.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "pointer of Git LFS.*git lfs pull",
    ),
    "pointer of Git LFS, safetensors": (
        lambda folder: (folder / "x.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "pointer of Git LFS",
    ),
    "web page": (lambda folder: (folder / "x.pth").write_text("\n<!DOCTYPE html><html>404</html>"), "is a web page"),
    "zeros": (lambda folder: (folder / "x.pth").write_bytes(bytes(4096)), "is not a safetensors or torch file"),
    "zip of something else": (
        lambda folder: zipfile.ZipFile(folder / "x.pth", "w").writestr("a.txt", "text"),
        "is not a safetensors or torch file",
    ),
    "compressed zip": (compressed, "compressed zip"),
    "cut in half": (
        lambda folder: (
            torch.save(weights(), folder / "x.pth"),
            (folder / "x.pth").write_bytes((folder / "x.pth").read_bytes()[:5000]),
        ),
        "or is damaged",
    ),
    "tensor larger than its file": (declaring_more, "is damaged"),
    "header of 2^60 bytes": (
        lambda folder: (folder / "x.safetensors").write_bytes(safetensors_of(b"{}", 2**60)),
        "cannot be read as safetensors",
    ),
    "safetensors larger than its file": (
        lambda folder: (folder / "x.safetensors").write_bytes(
            safetensors_of({"x": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}})
        ),
        "cannot be read as safetensors",
    ),
    "numbers beyond 64 bits": (
        lambda folder: (folder / "x.safetensors").write_bytes(
            safetensors_of({"x": {"dtype": "F32", "shape": [10**400], "data_offsets": [0, 4]}})
        ),
        "cannot be read as safetensors",
    ),
    "nested too deep": (lambda folder: torch.save(nested(100), folder / "x.pth"), "nested more than"),
    "too many entries": (lambda folder: torch.save(doubled(40), folder / "x.pth"), "more than 1,000,000 entries"),
    "a dict in itself": (lambda folder: torch.save(containing_itself(), folder / "x.pth"), "nested more than"),
    "whole model": (
        lambda folder: torch.save(nn.Sequential(nn.Linear(2, 2)), folder / "x.pth"),
        "contains code .*Sequential",
    ),
    "whole model in the old format": (
        lambda folder: torch.save(nn.Linear(2, 2), folder / "x.pth", _use_new_zipfile_serialization=False),
        "contains code",
    ),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_weights_is_refused_in_one_line(case, tmp_path):
    make, message = FILES[case]
    make(tmp_path)
    (file,) = [file for file in tmp_path.iterdir() if file.stem == "x"]
    with pytest.raises(SslbenchError, match=message) as caught:
        read_weights(file)
    assert str(caught.value).isprintable()


def test_torchs_old_format_is_read(tmp_path):
    torch.save(weights(), tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "x.pth").keys() == weights().keys()


NAME = "layers.0.\x1b]0;owned\x07\x1b[2J\n\u202e\udc80"


@pytest.mark.parametrize("where", ["key", "prefix", "left over", "far too long"])
def test_names_of_tensors_are_shown_without_control_characters(where, tmp_path):
    found = weights()
    if where == "prefix":
        found = {f"{NAME}.{name}": tensor for name, tensor in found.items() if name != "layers.0.0.weight"}
    elif where == "key":
        found = {NAME: torch.ones(2)}
    elif where == "left over":
        found[NAME] = torch.ones(2)
    else:
        found["layers.0." + "x" * 100_000] = torch.ones(2)
    torch.save(found, tmp_path / "x.pth")
    with pytest.raises(SslbenchError) as caught:
        CheckpointFile(tmp_path / "x.pth", "resnet9_slim").build(TRAITS, PretrainedSettings())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000


def exported(folder: Path, tensors=None, **about):
    spec = {"size": 8, "channels": 1, "mean": [0.3], "std": [0.4]} | about.pop("input", {})
    text = about.pop("text", None) or json.dumps(spec)
    known = {
        "backbone": "resnet9_slim",
        "backbone_version": str(find("resnet9_slim").version),
        "pooling": "average",
        "input": text,
    }
    file = folder / "encoder.safetensors"
    stored = {f"backbone.{name}": tensor for name, tensor in weights().items()}
    safetensors.torch.save_file(stored | (tensors or {}), file, metadata=known | about)
    return CheckpointFile(file, None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"input": {"size": 10**9}}, "between 1 and 2048"),
        ({"input": {"size": -1}}, "between 1 and 2048"),
        ({"input": {"channels": 10**6}}, "1 or 3 channels"),
        ({"input": {"mean": [0.1] * 100_000}}, "1 or 3 channels"),
        ({"input": {"std": [0]}}, "std above 0"),
        ({"input": {"std": [1e999]}}, "finite"),
        ({"input": {"size": "8\x1b[2J"}}, "cannot be read"),
        ({"text": "[" * 100_000}, "cannot be read"),
        ({"text": '{"size": ' + "9" * 5000 + "}"}, "cannot be read"),
        ({"text": "[]"}, "cannot be read"),
        ({"backbone": "\x1b[2Jresnet"}, "does not have"),
        ({"backbone_version": "9\n9"}, "written for version"),
        ({"pooling": "\x1b"}, "unknown pooling"),
        ({"tensors": {"code.weight": torch.ones(4, 3), "code.bias": torch.ones(4)}}, "'code' does not fit"),
        ({"tensors": {"code.weight": torch.ones(4, 128)}}, "'code' does not fit"),
        ({"tensors": {"code.weight": torch.full((4, 128), float("nan")), "code.bias": torch.ones(4)}}, "'code'"),
    ],
)
def test_metadata_that_makes_no_sense_is_one_line(changed, message, tmp_path):
    with pytest.raises(SslbenchError, match=message) as caught:
        exported(tmp_path, **changed).build(TRAITS, PretrainedSettings())
    assert str(caught.value).isprintable()


def test_grey_weights_of_an_export_are_refused_for_colour_images(tmp_path):
    colour = Traits(3, 8, 10, (0.3,) * 3, (0.4,) * 3, False, 100, 100)
    with pytest.raises(SslbenchError, match="takes grey images"):
        exported(tmp_path).build(colour, PretrainedSettings())


# What is not a regular file.


def pipe(folder):
    os.mkfifo(folder / "x")


SPECIAL = {
    "pipe": (pipe, "a device or a pipe"),
    "link to a pipe": (lambda folder: (os.mkfifo(folder / "p"), (folder / "x").symlink_to(folder / "p")), "a pipe"),
    "link to a device": (lambda folder: (folder / "x").symlink_to("/dev/zero"), "a device or a pipe"),
    "folder": (lambda folder: (folder / "x").mkdir(), "is a folder"),
    "link in a circle": (lambda folder: (folder / "x").symlink_to(folder / "x"), "there is no file|cannot write"),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_weights_are_never_read_from_a_device_and_exports_never_replace_one(case, tmp_path):
    make, message = SPECIAL[case]
    make(tmp_path)
    file = tmp_path / "x"
    for name in (f"checkpoint:{file}", f"timm:test_resnet@{file}"):
        with pytest.raises(SslbenchError, match=message.replace("cannot write", "there is no file")):
            parse_name(name)
    before = os.lstat(file)
    with pytest.raises(SslbenchError, match=message):
        export(Store(tmp_path / "results"), "simclr", file)
    assert os.lstat(file) == before


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/dev/null", "/dev/stdin"])
def test_names_of_files_that_cannot_be_read_are_one_line(name):
    for form in (f"checkpoint:{name}", f"timm:test_resnet@{name}"):
        with pytest.raises(SslbenchError) as caught:
            parse_name(form)
        assert str(caught.value).isprintable()


def test_an_export_is_written_to_a_new_file_or_instead_of_a_file(tmp_path):
    check_target(tmp_path / "new.safetensors")
    check_target(tmp_path / "missing" / "new.safetensors")
    store = Store(tmp_path / "results")
    perform(store, "random_init")
    file = tmp_path / "encoder.safetensors"
    file.write_text("old")
    export(store, "random_init", file)
    assert metadata(file)["method"] == "random_init"
