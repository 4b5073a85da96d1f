"""The page's lines that load an exported ResNet without sslbench."""

import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bench.backbones import build
from bench.pretrained.plain_encoder import encoder_of_file
from methods.base import Encoder, InputSpec
from methods.traits import Traits

PAGE = Path(__file__).parents[2] / "bench" / "pretrained" / "README.md"
SPEC = InputSpec(32, 3, (0.5,) * 3, (0.25,) * 3)


def test_the_lines_of_the_page_give_the_features_of_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(build("resnet18", Traits(3, 32, 0, SPEC.mean, SPEC.std, False, 0, 0)), SPEC).eval()
    about = {"backbone": "resnet18", "pooling": "average", "input": json.dumps(vars(SPEC))}
    safetensors.torch.save_file(encoder.state_dict(), tmp_path / "simclr.safetensors", about)
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(import safetensors.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    space = {"images": torch.randn(2, 3, 32, 32)}
    exec(code, space)
    with torch.no_grad():
        torch.testing.assert_close(space["vectors"].detach(), encoder.features(space["images"]))
        own = encoder_of_file(tmp_path / "simclr.safetensors")
        torch.testing.assert_close(own.features(space["images"]), encoder.features(space["images"]))
