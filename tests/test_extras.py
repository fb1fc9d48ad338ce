"""Without its toolkit an adapter says how to get it."""

from __future__ import annotations

import importlib
import sys

import pytest


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
