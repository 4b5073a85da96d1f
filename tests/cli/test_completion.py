"""Names that the shell completes, asked as the scripts of the shells ask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import completion
from bench.registry.methods import method_names

BASH = {"_SSLBENCH_COMPLETE": "complete_bash"}


def completed(words: str, folder: Path) -> list[str]:
    given = {**os.environ, **BASH, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    command = [
        sys.executable,
        "-c",
        "import sys; from bench.cli import main\ntry:\n main()\nfinally:\n assert 'torch' not in sys.modules",
    ]
    done = subprocess.run(command, env=given, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sslbench run simc", ["simclr"]),
        ("sslbench run simclr by", ["byol"]),
        ("sslbench run simclr --dataset cif", ["cifar10", "cifar100"]),
        ("sslbench run simclr --budget q", ["quick"]),
        ("sslbench insp", ["inspect"]),
        ("sslbench show digits/resnet9_slim/smoke/v", ["digits/resnet9_slim/smoke/vae/seed-0"]),
    ],
)
def test_bash_gets_the_names_without_torch(words: str, expected: list[str], tmp_path: Path) -> None:
    record = tmp_path / "results" / "records" / "digits" / "resnet9_slim" / "smoke" / "vae" / "seed-0.json"
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert completed(words, tmp_path) == expected


def test_every_kind_of_name_is_offered() -> None:
    assert completion.methods("") == [*method_names(), "timm:", "hf-model:", "checkpoint:"]
    assert {"digits", "folder:", "hf:"} <= set(completion.datasets(""))
    assert {"knn", "linear", "lowshot-1", "rankme"} <= set(completion.protocols(""))
    assert set(completion.backbones("resnet9")) == {"resnet9", "resnet9_slim"}
    assert "autoencoder-mnist" in completion.studies("auto")
