"""Everything that exists only on a GPU is behind ``bench/device.py``, where it has a form on a CPU."""

import ast
from pathlib import Path

import bench

ROOT = Path(bench.__file__).parents[1]
OWN = "bench/device.py"


def only_on_a_gpu(tree: ast.AST) -> list[str]:
    """The uses of ``torch.cuda``, pinned memory and copies that do not wait in a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("cuda", "pin_memory", "is_pinned"):
            found.append(f"line {node.lineno}: .{node.attr}")
        if isinstance(node, ast.keyword) and node.arg in ("non_blocking", "pin_memory"):
            found.append(f"line {node.value.lineno}: {node.arg}=")
        if isinstance(node, ast.ImportFrom | ast.Import):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"line {node.lineno}: import of {name}" for name in names if name.startswith("torch.cuda")]
    return found


def test_no_other_module_uses_what_exists_only_on_a_gpu() -> None:
    files = [file for room in ("bench", "methods", "protocols") for file in (ROOT / room).rglob("*.py")]
    assert ROOT / OWN in files
    found = {str(file.relative_to(ROOT)): only_on_a_gpu(ast.parse(file.read_text())) for file in files}
    assert found.pop(OWN)
    assert not {name: uses for name, uses in found.items() if uses}
