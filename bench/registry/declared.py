"""What a method declares, read from its source without importing it: a listing of all methods needs no torch."""

import ast
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import methods
from bench.registry.methods import load_method


@dataclass(frozen=True)
class Declared:
    """The facts about a method that listings and tables need; see ``methods.base.Method``.

    Attributes:
        title: Its name in tables.
        paper: Link to its paper.
        family: Its group in listings.
        version: ``recipe.version``.
        backbone: Backbones that it accepts.
        labels: Whether it uses labels.
        training: Whether it is trained.
    """

    title: str
    paper: str
    family: str
    version: int
    backbone: str = "any"
    labels: bool = False
    training: bool = True


def declared(name: str) -> Declared:
    """Return what a method declares; a method that is not of this repository is imported, as is one that computes its declarations."""
    found = declared_in_source(name)
    if found is not None:
        return found
    method = load_method(name)
    needs = method.needs
    return Declared(
        method.title, method.paper, method.family, method.recipe.version, needs.backbone, needs.labels, needs.training
    )


def documentation(name: str) -> tuple[str, ...]:
    """Return the paragraphs at the top of ``methods/NAME.py``: idea, recipe, deviations from the paper; none if there is no such file."""
    file = _file(name)
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file else None
    return tuple(" ".join(paragraph.split()) for paragraph in (text or "").split("\n\n") if paragraph.strip())


def declared_in_source(name: str) -> Declared | None:
    """Return the declarations in ``methods/NAME.py``; None if there is no such file, or if they are not written as constants."""
    file = _file(name)
    if file is None:
        return None
    classes = [c for c in _classes(file).values() if c.get("paper") is not None]
    if len(classes) != 1:
        return None
    try:
        found = classes[0]
        needs = {
            key: value for key, value in found.get("needs", {}).items() if key in ("backbone", "labels", "training")
        }
        return Declared(found["title"], found["paper"], found["family"], found["recipe"]["version"], **needs)
    except (KeyError, TypeError):
        return None


def _file(name: str) -> Path | None:
    """Return the file of a method of this repository; None if there is none, or an installed package replaces it."""
    file = Path(next(iter(methods.__path__))) / f"{name}.py"
    return file if name.isidentifier() and file.is_file() and name not in _installed() else None


@cache
def _installed() -> frozenset[str]:
    """Return the methods of installed packages, which come before a file of the same name."""
    return frozenset(point.name for point in entry_points(group="sslbench.methods"))


@cache
def _classes(file: Path) -> dict[str, dict[str, Any]]:
    """Return the constants of each class in a file of ``methods/``, with those that it inherits from other such files."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    imported = {
        alias.asname or alias.name: (node.module.removeprefix("methods."), alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.count(".") == 1
        for alias in node.names
        if node.module.startswith("methods.") and node.module != "methods.base"
    }
    classes: dict[str, dict[str, Any]] = {}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        constants: dict[str, Any] = {}
        for base in (base.id for base in node.bases if isinstance(base, ast.Name)):
            if base in classes:
                constants |= classes[base]
            elif base in imported:
                module, original = imported[base]
                constants |= _classes(file.with_name(f"{module}.py")).get(original, {})
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                constants[statement.target.id] = _constant(statement.value)
        classes[node.name] = constants
    return classes


def _constant(value: ast.expr) -> Any:
    """Return a constant, or the constant arguments of a call by name; None for anything else."""
    if isinstance(value, ast.Constant):
        return value.value
    if isinstance(value, ast.Call):
        return {k.arg: _constant(k.value) for k in value.keywords if k.arg is not None}
    return None
