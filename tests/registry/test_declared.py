"""What methods declare is read from their source, and equals what the imported classes declare."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.registry import declared as reading
from bench.registry.declared import declared
from bench.registry.methods import load_method, method_names

ROOT = Path(__file__).resolve().parents[2]


def test_the_declarations_in_the_source_are_those_of_the_imported_classes(only_the_catalogue: None) -> None:
    for name in method_names():
        method, found = load_method(name), reading.declared_in_source(name)
        assert found is not None, name
        needs = method.needs
        assert (found.title, found.paper, found.family, found.version) == (
            method.title,
            method.paper,
            method.family,
            method.recipe.version,
        )
        assert (found.backbone, found.labels, found.training) == (needs.backbone, needs.labels, needs.training)


def test_all_methods_are_listed_and_their_versions_checked_without_torch() -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom bench.cli.list import rows\n"
        "from bench.leaderboard.read import Selection, leaderboard_of\n"
        "assert len(rows('methods', None)) > 40\nleaderboard_of([], Selection(), check=True)\n"
        "print(sorted({'torch', 'numpy', 'lightly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "source", ["", "class A:\n    pass", "x = 1", "class A(B):\n    paper = f()\n    title: str = 'a'"]
)
def test_a_file_without_constants_is_left_to_the_import(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.py").write_text(source)
    monkeypatch.setattr(reading.methods, "__path__", [str(tmp_path)])
    assert reading.declared_in_source("odd") is None
    assert reading.declared_in_source("missing") is None


def test_an_unknown_method_has_no_declarations() -> None:
    with pytest.raises(Exception, match="did you mean 'simclr'"):
        declared("simclrr")
