"""The examples of the README, run as a user would."""

import json
import re

import pytest
from PIL import Image
from sklearn.datasets import load_digits
from support.starting import ROOT

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"```python\n(# (my_\w+\.py)\n.*?)```", re.DOTALL)
LONGEST = {"my_method.py": 40, "my_encoder.py": 10}
FAST = ("--protocol", "knn", "--protocol", "lowshot-1-frozen")


@pytest.mark.parametrize("file", LONGEST)
def test_a_plugin_of_the_readme_is_short_and_runs(sslbench, tmp_path, file):
    examples = {name: code for code, name in BLOCK.findall((ROOT / "README.md").read_text())}
    code = examples[file]
    assert len(code.splitlines()) <= LONGEST[file]
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


def test_the_folder_of_the_readme_runs(sslbench, tmp_path):
    (command,) = re.findall(
        r"^    sslbench (run .*--dataset folder:my_images .*)$", (ROOT / "README.md").read_text(), re.M
    )
    images, labels = load_digits(return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images[:160], labels[:160], strict=True)):
        if label < 4:
            path = tmp_path / "my_images" / ("test" if number % 3 == 0 else "train") / str(label) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels * 15.9).astype("uint8").reshape(8, 8)).save(path)
    small = ("--image-size", "8", "--backbone", "resnet9_slim", "--budget", "1ep", "--no-flip")
    done = sslbench(*command.partition(" --budget")[0].split(), *small, *FAST)
    assert done.returncode == 0, done.stderr
    (table,) = json.loads((tmp_path / "results" / "leaderboard.json").read_text())["tables"]
    assert {row["status"] for row in table["rows"]} == {"ok"}
    assert len(table["rows"]) == 2
