"""Without the toolkit the adapter says how to get it."""

from __future__ import annotations

import importlib
import sys

import pytest


def test_a_missing_toolkit_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "daep_pyproximal"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("pyproximal", "pylops"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r"daep_pyproximal needs \w+: pip install 'daep-prior\[pyproximal\]'"):
        importlib.import_module("daep_pyproximal")
