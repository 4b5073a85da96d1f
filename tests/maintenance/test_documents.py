"""The examples in the documents, run as a user would run them."""

import json
import re

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.starting import ROOT

pytestmark = pytest.mark.slow

PLUGIN = re.compile(r"```python\n(# (my_\w+\.py)\n.*?)```", re.DOTALL)
FOLDER_COMMAND = re.compile(r"^\s*sslbench (run [^#\n]*--dataset folder:my_images[^#\n]*)", re.MULTILINE)
MAX_LINES = {"my_method.py": 40, "my_encoder.py": 10}
FAST = ("--protocol", "knn", "--protocol", "lowshot-1-frozen")


def documents():
    paths = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("bench/*/README.md")]
    return {str(path.relative_to(ROOT)): path.read_text() for path in sorted(paths)}


def examples(pattern):
    """Distinct examples with the first document that has each."""
    found = {}
    for name, text in documents().items():
        for match in pattern.finditer(text):
            found.setdefault(match[1].strip(), (name, match))
    return [pytest.param(match, id=f"{name}: {match[match.lastindex].strip()}") for name, match in found.values()]


def test_both_kinds_of_plugin_have_an_example():
    assert {match[2] for text in documents().values() for match in PLUGIN.finditer(text)} == set(MAX_LINES)


@pytest.mark.parametrize("example", examples(PLUGIN))
def test_a_plugin_example_is_short_and_runs(sslbench, tmp_path, example):
    code, file = example.groups()
    assert len(code.splitlines()) <= MAX_LINES[file]
    (tmp_path / file).write_text(code)
    name = file.removesuffix(".py")
    done = sslbench("run", name, "--plugin", file, "--budget", "smoke", *FAST)
    assert done.returncode == 0, done.stderr
    (table,) = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["tables"]
    (row,) = table["rows"]
    assert row["status"] == "ok"
    assert row["method"].replace("-", "_").startswith(name)
    assert row["group"] == ("methods" if file == "my_method.py" else "elsewhere")
    assert row["scores"]["knn"]["mean"] > 30, "three times chance"


@pytest.mark.parametrize("example", examples(FOLDER_COMMAND))
def test_a_folder_example_runs(sslbench, tmp_path, example):
    arguments = example[1].partition(" --budget")[0].split()
    images, labels = load_digits(return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images[:160], labels[:160], strict=True)):
        if label < 4:
            path = tmp_path / "my_images" / ("test" if number % 3 == 0 else "train") / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 15.9).astype("uint8").reshape(8, 8)).save(path)
    small = ("--image-size", "8", "--backbone", "resnet9_slim", "--budget", "1ep", "--no-flip")
    done = sslbench(*arguments, *small, *FAST)
    assert done.returncode == 0, done.stderr
    (table,) = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["tables"]
    assert {row["status"] for row in table["rows"]} == {"ok"}
    methods = arguments[1 : next(i for i, word in enumerate(arguments) if word.startswith("--"))]
    assert {row["method"] for row in table["rows"]} == set(methods)
