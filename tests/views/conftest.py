import gzip
import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from support.starting import real_images


def _data_file(name):
    folder = real_images()
    if folder is None or not (folder / name).exists():
        pytest.skip(f"real images are missing: no {name} in SSLBENCH_TEST_DATA or ../shared/data")
    return folder / name


def _digits():
    return torch.from_numpy((load_digits().images[:128] * (255 / 16)).round().astype(np.uint8)).unsqueeze(1)


def _fashion():
    with gzip.open(_data_file("FashionMNIST/raw/t10k-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(16 + 784 * 128)[16:], dtype=np.uint8)
    return torch.from_numpy(pixels.reshape(-1, 1, 28, 28).copy())


def _photographs(side):
    with zipfile.ZipFile(_data_file("imagenette-96.zip")) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("val/") and not n.endswith("/"))[::9][:96]
        images = [Image.open(io.BytesIO(archive.read(n))).convert("RGB").resize((side, side)) for n in names]
    return torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2).contiguous()


_IMAGES = {
    "digits": _digits,
    "fashion": _fashion,
    "photographs-32": lambda: _photographs(32),
    "photographs-96": lambda: _photographs(96),
}


@pytest.fixture(scope="session", params=_IMAGES)
def images(request):
    """Real images, uint8 B×C×H×W: grey of 8 and 28 pixels, colour of 32 and 96 pixels."""
    return _IMAGES[request.param]()


@pytest.fixture(scope="session")
def photographs():
    return _photographs(96)


@pytest.fixture(scope="session")
def digits():
    return _digits()
