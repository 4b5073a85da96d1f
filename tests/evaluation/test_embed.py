"""``sslbench embed``: the file has the features of the run, image by image."""

import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from bench.backbones import build
from bench.cli.embed import embed
from bench.errors import SslbenchError
from bench.evaluation import embed as module
from bench.evaluation.embed import embedding, write
from bench.views.prepare import prepare
from methods.base import Encoder, InputSpec
from methods.traits import Traits

SPEC = InputSpec(16, 3, (0.5,) * 3, (0.25,) * 3)


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(build("resnet9_slim", Traits(3, 16, 0, SPEC.mean, SPEC.std, False, 0, 0)), SPEC).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for number in range(37):
        path = tmp_path / "images" / ("" if number % 3 == 2 else "cat" if number % 3 else "dog") / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (16, 16, 3), np.uint8)).save(path)
    (tmp_path / "images" / "notes.txt").write_text("no image")
    return tmp_path / "images"


@pytest.mark.parametrize("ending", ["parquet", "npz"])
def test_a_file_has_the_features_of_every_image(
    ending: str, encoder: Encoder, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "batch_size", lambda size: 10)
    out = tmp_path / f"features.{ending}"
    with embedding(encoder, folder, torch.device("cpu")) as found:
        assert (found.images, found.dim) == (37, encoder.dim)
        write(found, out)
    if ending == "npz":
        with np.load(out) as file:
            paths, labels, features = file["path"].tolist(), file["label"].tolist(), file["features"]
    else:
        table = pyarrow.parquet.read_table(out)
        paths, labels = table["path"].to_pylist(), table["label"].to_pylist()
        features = np.array(table["features"].to_pylist(), np.float32)
    assert paths == sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert labels == [path.rpartition("/")[0] for path in paths]
    pixels = np.stack([np.asarray(Image.open(folder / path)).transpose(2, 0, 1) for path in paths])
    with torch.no_grad():
        expected = encoder.features(prepare(torch.from_numpy(pixels), SPEC, "cpu"))
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_corrupt_image_leaves_no_file(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    (folder / "zz.png").write_bytes(b"no image")
    with embedding(encoder, folder, torch.device("cpu")) as found, pytest.raises(SslbenchError, match=r"zz\.png"):
        write(found, tmp_path / "features.npz")
    assert {path.name for path in tmp_path.iterdir()} == {"images"}


def test_a_zip_is_read_and_an_empty_one_refused(encoder: Encoder, folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, path.relative_to(folder))
    with embedding(encoder, tmp_path / "images.zip", torch.device("cpu")) as found:
        assert found.images == 37
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with (
        pytest.raises(SslbenchError, match="contains no images"),
        embedding(encoder, tmp_path / "empty.zip", torch.device("cpu")),
    ):
        pass


@pytest.mark.parametrize(
    ("run", "out", "message"),
    [
        ("simclr", "features.csv", "must end in"),
        ("simclr", "there.npz", "exists"),
        ("none.safetensors", "f.npz", "no record"),
        ("odd.safetensors", "f.npz", "sslbench export"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: str, out: str, message: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.npz").write_text("mine")
    from safetensors.torch import save_file

    save_file({"weight": torch.zeros(2)}, "odd.safetensors")
    with pytest.raises(SslbenchError, match=message):
        embed(run, folder, Path(out), False, Path("results"), "cpu")
    assert Path("there.npz").read_text() == "mine"
