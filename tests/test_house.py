"""The house rules: lint, format, types, and who may import whom."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
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
#: Never in the core, not even by way of something it imports.
TOOLKITS = {*FOREIGN, *MAY_IMPORT} - {"daep_prior"}


def packages(root: Path) -> dict[str, Path]:
    return {path.parent.name: path.parent for base in (root, root / "adapters") for path in base.glob("*/__init__.py")}


def require(tool: str) -> None:
    """The job at the lower ends has neither: an older library has other types, an older linter other rules."""
    if find_spec(tool) is None:
        pytest.skip(f"needs {tool}, of the extra [dev]")


def check(*command: str, root: Path) -> None:
    require(command[0])
    run = subprocess.run([sys.executable, "-m", *command], cwd=root, capture_output=True, text=True)
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout}{run.stderr}"


# -- lint and types --------------------------------------------------------------------------------------------------


def test_ruff_finds_nothing(root):
    check("ruff", "check", ".", root=root)


def test_ruff_would_format_nothing(root):
    check("ruff", "format", "--check", ".", root=root)


def test_mypy_finds_nothing(root):
    check("mypy", root=root)


# -- imports ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "import deepinv",
        "import deepinv.optim as optim",
        "from deepinv.optim import L2",
        "def f():\n    import torchvision.transforms",
        "from typer import Option",
        "import rich",
        "from pyproximal import ProxOperator",
        "import pylops",
        "import scico.numpy as snp",
        "import jax",
        "import daep_deepinv",
        "import daep_pyproximal",
        "from daep_scico import DAEPrior",
        "from daep_cli.main import main",
        "import pickle",
        "import torch\n\nx = torch.load('x')",
    ],
)
@pytest.mark.parametrize(
    ("file", "allowed"), [("daep_prior/new.py", False), ("adapters/daep_new/new.py", True), ("tests/new.py", True)]
)
def test_the_lint_rule_keeps_toolkits_out_of_the_core_and_only_there(root, line, file, allowed):
    require("ruff")
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename", file, "-"]
    run = subprocess.run(command, cwd=root, input=f"{line}\n", capture_output=True, text=True)
    assert (run.returncode == 0) == allowed, run.stdout + run.stderr
    assert ("TID251" in run.stdout) != allowed


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
