import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torchvision

from bench.data import load
from bench.errors import SslbenchError


@pytest.fixture
def mirror(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Serves FashionMNIST's real files from a local folder, as torchvision's only mirror."""
    folder = tmp_path / "mirror"
    shutil.copytree(shared_data / "FashionMNIST/raw", folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
        yield folder
        server.shutdown()


def test_missing_files_are_downloaded_once_into_the_cache_and_not_into_the_data_root(
    mirror: Path, cache: Path, tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_root = tmp_path / "data"
    data_root.mkdir()
    first = load("fashion_mnist", data_root=data_root)
    assert "no files found, downloading" in capsys.readouterr().err
    shutil.rmtree(mirror)
    assert load("fashion_mnist", data_root=data_root).fingerprint == first.fingerprint
    assert first.fingerprint == load("fashion_mnist", data_root=shared_data).fingerprint
    assert not list(data_root.iterdir())
    assert {path.name for path in (cache / "downloads").iterdir()} <= {"FashionMNIST", "fashion_mnist.lock"}


def test_failed_download_is_an_error_of_one_line_and_leaves_no_files(mirror: Path, cache: Path) -> None:
    (mirror / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(SslbenchError, match=r"put them into FashionMNIST/raw/.*the download failed") as caught:
        load("fashion_mnist")
    assert "\n" not in str(caught.value)
    assert not [path for path in (cache / "downloads").iterdir() if path.suffix != ".lock"]


def test_download_with_a_wrong_checksum_is_refused(mirror: Path) -> None:
    shutil.copy(mirror / "train-labels-idx1-ubyte.gz", mirror / "t10k-labels-idx1-ubyte.gz")
    with pytest.raises(SslbenchError, match="the download failed"):
        load("fashion_mnist")
