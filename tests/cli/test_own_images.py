"""Runs on a user's own folder of images, from the command line to the leaderboard."""

import json

import pytest
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    """A folder with PNG files of real digits: two classes in train and test, and unlabelled images."""
    images, labels = load_digits(return_X_y=True)
    for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        if label > 1 and number > 300:
            continue
        part = "unlabelled" if label > 1 else f"{'test' if number % 4 == 0 else 'train'}/class-{label}"
        path = tmp_path / "my images" / part / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 15.9).astype("uint8").reshape(8, 8)).resize((20, 14)).save(path)
    return tmp_path / "my images"


def test_runs_on_a_folder_appear_in_the_leaderboard(sslbench, folder):
    options = ("--image-size", "12", "--no-flip", "--backbone", "resnet9_slim", "--budget", "2ep")
    protocols = ("--protocol", "knn", "--protocol", "lowshot-1-frozen")
    done = sslbench("run", "simclr", "random_init", "--dataset", f"folder:{folder}", *options, *protocols)
    assert done.returncode == 0, done.stderr
    leaderboard = json.loads(sslbench("leaderboard", "--format", "json").stdout)
    (table,) = leaderboard["tables"]
    assert table["dataset"].startswith("folder-my-images-")
    assert {row["method"] for row in table["rows"]} == {"simclr", "random_init"}
    assert all(row["scores"]["knn"]["mean"] > 50 for row in table["rows"])

    again = sslbench("run", "simclr", "random_init", "--dataset", f"folder:{folder}", *options, *protocols)
    assert "2 recorded, 0 to do" in again.stdout

    tuned = sslbench("run", "simclr", "--dataset", f"folder:{folder}", *options, *protocols, "--on", "val")
    assert tuned.returncode == 0, tuned.stderr
    (table,) = json.loads(sslbench("leaderboard", "--format", "json").stdout)["tables"]
    assert len(table["rows"]) == 2, "runs on val must not appear in the leaderboard"


def test_changed_settings_make_a_marked_row_without_a_rank(sslbench, folder):
    options = ("--dataset", f"folder:{folder}", "--image-size", "8", "--backbone", "resnet9_slim", "--budget", "1ep")
    changed = ("--set", "temperature=0.2", "--batch-size", "32")
    for more in ((), changed):
        done = sslbench("run", "simclr", *options, "--protocol", "knn", *more)
        assert done.returncode == 0, done.stderr
    (table,) = json.loads(sslbench("leaderboard", "--format", "json").stdout)["tables"]
    settings = sorted((row["settings"] for row in table["rows"]), key=len)
    assert settings == [{}, {"batch_size": 32, "temperature": 0.2}]
    marked = next(row for row in table["rows"] if row["settings"])
    assert marked["rank"] is None
