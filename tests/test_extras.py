"""A missing package of an extra is named together with the extra, and the plug-in needs none of them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from daep_cli.__main__ import PACKAGES

#: Without these a program starts as if only torch, deepinv, numpy and safetensors were installed. Of the extra [cli],
#: pillow and matplotlib are left, which deepinv needs.
WITHOUT = """
import sys
for name in {missing}:
    sys.modules[name] = None
"""
#: Names of packages that are imported under another name.
IMPORTED_AS = {"pillow": "PIL", "scikit-image": "skimage"}


@pytest.mark.parametrize(
    ("adapter", "extra", "toolkit"),
    [("daep_pyproximal", "pyproximal", ("pyproximal", "pylops")), ("daep_scico", "scico", ("scico", "jax"))],
)
def test_a_missing_toolkit_is_named_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, adapter: str, extra: str, toolkit: tuple[str, ...]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == adapter]:
        monkeypatch.delitem(sys.modules, name)
    for name in toolkit:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{adapter} needs \w+: pip install 'daep-prior\[{extra}\]'"):
        importlib.import_module(adapter)


def run_without(missing: object, program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT.format(missing=missing) + program]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_plug_in_needs_no_package_of_the_command_line(environment: dict[str, str]) -> None:
    missing = {*PACKAGES, "ptwt", "google.protobuf", "huggingface_hub"} - {"PIL"}
    program = """
import deepinv, torch, daep_prior, daep_prior.training
from daep_deepinv import DAEP
physics = deepinv.physics.Denoising(deepinv.physics.GaussianNoise(0.1))
assert DAEP(max_iter=1)(torch.rand(1, 3, 16, 16), physics).shape == (1, 3, 16, 16)
"""
    ran = run_without(missing, program, environment)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("missing", PACKAGES)
def test_the_command_line_without_a_package_says_what_to_install(missing: str, environment: dict[str, str]) -> None:
    program = "from daep_cli.__main__ import main\nsys.exit(main())"
    ran = run_without([missing], program, environment)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"daep: error: {missing} missing; pip install 'daep-prior[cli]'\n"


def test_the_command_line_checks_all_packages_of_its_extra(root: Path) -> None:
    tomllib = pytest.importorskip("tomllib")
    extra = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]["cli"]
    names = {re.split("[>=<]", requirement)[0] for requirement in extra if not requirement.startswith("daep-prior")}
    assert {IMPORTED_AS.get(name, name) for name in names} == set(PACKAGES)
