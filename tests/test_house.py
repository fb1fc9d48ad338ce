"""The house rules: sizes, who may import whom, packaging. Lint and types are run by ``make test``, before the tests."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

#: What each import package may import of the others; the core imports no toolkit at all.
MAY_IMPORT = {
    "daep_prior": set(),
    "daep_deepinv": {"daep_prior"},
    "daep_compare": {"daep_prior", "daep_deepinv"},
    "daep_cli": {"daep_prior", "daep_deepinv", "daep_compare"},
    "daep_pyproximal": {"daep_prior"},
    "daep_scico": {"daep_prior"},
}
FOREIGN = {"deepinv", "torchvision", "typer", "rich", "skimage", "matplotlib", "pyproximal", "pylops", "scico", "jax"}
#: Docstrings included.
MOST_LINES_OF_CLASS, MOST_LINES_OF_FUNCTION = 200, 60
#: Never in the core, not even by way of something it imports.
TOOLKITS = {*FOREIGN, *MAY_IMPORT} - {"daep_prior"}


def packages(root: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for base in (root, root / "adapters") for path in base.glob("*/__init__.py")}


def modules(root: Path) -> dict[str, Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for folder in packages(root).values():
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


# -- sizes -----------------------------------------------------------------------------------------------------------


def test_no_class_and_no_function_is_too_long_for_one_reader(root):
    long = []
    for name, path in modules(root).items():
        for node in ast.walk(ast.parse(path.read_text())):
            limit = {ast.ClassDef: MOST_LINES_OF_CLASS}.get(type(node), MOST_LINES_OF_FUNCTION)
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.end_lineno - node.lineno + 1 > limit:
                long.append(f"{name}.{node.name}: {node.end_lineno - node.lineno + 1} lines, expected {limit}")
    assert not long, "\n".join(long)


# -- imports ---------------------------------------------------------------------------------------------------------


def imported_anywhere(name: str, path: Path, known: set[str]) -> set[str]:
    """Modules of ours that a module imports: when it is loaded, in a function, or for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (full & known) or {node.module}
    return (found & known) - {name}


def test_no_import_goes_in_a_circle(root):
    found = modules(root)
    imports = {name: imported_anywhere(name, path, set(found)) for name, path in found.items()}
    state: dict[str, int] = {}

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert state.get(name) != 1, " -> ".join((*way[way.index(name) :], name))
        if name not in state:
            state[name] = 1
            for other in sorted(imports[name]):
                visit(other, (*way, name))
            state[name] = 2

    for name in found:
        visit(name, ())


def test_importing_the_core_imports_no_toolkit(root, environment):
    program = (
        "import importlib, pkgutil, sys, daep_prior\n"
        "for module in pkgutil.walk_packages(daep_prior.__path__, 'daep_prior.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) & TOOLKITS == set()


def test_packages_import_only_those_below_them(root):
    found = packages(root)
    assert set(MAY_IMPORT) <= set(found)
    for name, folder in found.items():
        allowed = MAY_IMPORT.get(name, {"daep_prior"}) | {name}  # a new adapter may import the core
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                ours = {n.split(".")[0] for n in names if n.startswith("daep_")}
                assert ours <= allowed, f"{path.relative_to(root)}:{node.lineno} imports {ours - allowed}"


# -- packaging -------------------------------------------------------------------------------------------------------


def test_every_package_is_found_and_declares_that_it_is_typed(root):
    setuptools = pytest.importorskip("setuptools")
    found = {p for base in (".", "adapters") for p in setuptools.find_packages(str(root / base), include=["daep_*"])}
    assert {p for p in found if "." not in p} == set(packages(root))
    for name, folder in packages(root).items():
        assert (folder / "py.typed").is_file(), name


def test_scripts_that_are_called_are_executable(root):
    assert os.access(root / ".ci" / "run", os.X_OK)
