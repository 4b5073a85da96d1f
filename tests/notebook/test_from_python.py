"""sslbench from Python: the example of the page, scripts of all kinds, and the same numbers as the command line."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.in_process import perform
from support.starting import clean_environment

from bench.errors import SslbenchError
from bench.notebook import encoder, evaluate, features, leaderboard, run
from bench.pretrained.export import export
from bench.records.record import Record
from bench.records.store import Store

PAGE = Path(__file__).parents[2] / "bench" / "notebook" / "README.md"
CALL = (
    "from bench.notebook import run\nprint([r.status for r in run('random_init', budget='smoke', protocols=['knn'])])\n"
)


def python(folder: Path, *arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=clean_environment(),
        input=given,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_example_of_the_page_runs_word_for_word(tmp_path: Path) -> None:
    """As in a notebook: within a running event loop; the script has no ``if __name__ == "__main__"``."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "example.txt").write_text(example)
    script = "import asyncio, pathlib\nasync def main():\n    exec(pathlib.Path('example.txt').read_text(), {})\nasyncio.run(main())\n"
    (tmp_path / "notebook.py").write_text(script)
    lines = python(tmp_path, "notebook.py").splitlines()
    assert lines[0].startswith("{'simclr': 0.") and 0.3 < float(lines[-1]) <= 1


@pytest.mark.slow
def test_runs_start_from_standard_input(tmp_path: Path) -> None:
    assert python(tmp_path, "-", given=CALL) == "['ok']\n"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Record]:
    results = tmp_path_factory.mktemp("results")
    return results, perform(Store(results), "simclr", budget="smoke")


def test_features_of_a_run_an_export_and_a_folder_are_equal(recorded: tuple[Path, Record], tmp_path: Path) -> None:
    results, record = recorded
    export(Store(results), "simclr", tmp_path / "simclr.safetensors")
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 8, 8), np.uint8)
    for number, image in enumerate(images):
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(tmp_path / "images" / f"{number}.png")
    expected = features("simclr", images, results=results)
    network = encoder(record, results=results)
    assert expected.shape == (7, network.dim) and expected.dtype == np.float32
    for source in (record, str(tmp_path / "simclr.safetensors"), network):
        np.testing.assert_allclose(features(source, images, results=results), expected, atol=1e-6)
    np.testing.assert_allclose(features("simclr", tmp_path / "images", results=results), expected, atol=1e-6)
    assert not network.training


def test_the_board_has_the_numbers_of_the_records(recorded: tuple[Path, Record]) -> None:
    results, record = recorded
    board = leaderboard(results)
    (line,) = board[board.protocol == "knn"].to_dict("records")
    assert line["method"] == "simclr" and line["seeds"] == 1
    assert line["score"] == pytest.approx(100 * record.protocols["knn"].metrics["top1"])


def test_a_module_has_the_scores_of_the_plugin_that_returns_it(tmp_path: Path) -> None:
    code = (
        "import torch\n\ndef small():\n    torch.manual_seed(3)\n"
        "    return torch.nn.Sequential(torch.nn.Conv2d(1, 16, 3), torch.nn.BatchNorm2d(16), torch.nn.ReLU())\n"
    )
    (tmp_path / "small.py").write_text(code)
    (by_plugin,) = run(
        ["small"], plugins=[str(tmp_path / "small.py")], protocols=["knn", "linear"], results=tmp_path / "results"
    )
    space: dict[str, object] = {}
    exec(code, space)
    module = space["small"]().train()  # type: ignore[operator]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    record = evaluate(module, name="small", protocols=["knn", "linear"])
    assert {name: m.correct for name, m in record.protocols.items()} == {
        name: m.correct for name, m in by_plugin.protocols.items()
    }
    assert module.training and all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    assert not (tmp_path / "results" / "records-val").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run("simcrl"), "did you mean 'simclr'"),
        (lambda: run([]), "at least one method"),
        (lambda: run("simclr", budget="quik"), "did you mean 'quick'"),
        (lambda: evaluate("simclr"), "is no nn.Module"),
        (lambda: evaluate(torch.nn.Identity(), protocols=["knm"]), "did you mean 'knn'"),
        (lambda: evaluate(torch.nn.Flatten(0)), "features must be"),
        (lambda: evaluate(torch.nn.Flatten(), mean=[0.5]), "both mean and std"),
        (lambda: encoder("nothing"), "no record"),
        (lambda: features("nothing", np.zeros((2, 1, 8, 8), np.uint8)), "no record"),
    ],
)
def test_errors_are_exceptions_with_one_line(
    call, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SslbenchError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def test_images_of_another_form_are_refused(recorded: tuple[Path, Record]) -> None:
    network = encoder("simclr", results=recorded[0])
    for images in (
        np.zeros((2, 8, 8, 1), np.uint8),
        np.zeros((2, 1, 8, 8), np.float32),
        np.zeros((0, 1, 8, 8), np.uint8),
    ):
        with pytest.raises(SslbenchError, match="uint8 N×C×H×W"):
            features(network, images)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, bench.notebook; dir(bench.notebook); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
