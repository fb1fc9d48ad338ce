"""The pages of the documentation about files do what they say, on files that they make themselves."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

#: Least advantage over Richardson-Lucy with its best number of iterations, dB.
ADVANTAGE = 2.0


def run_page(path: Path, daep: Any) -> dict[str, Any]:
    """Run the Python and the shell blocks of a page in their order; returns the variables."""
    names: dict[str, Any] = {}
    for language, block in re.findall(r"```(python|sh)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
        if language == "python":
            exec(compile(block, path.name, "exec"), names)
            continue
        for line in block.splitlines():
            command, *arguments = shlex.split(line, comments=True)
            assert command == "daep"
            outcome = daep(*arguments)
            assert (outcome.status, outcome.err) == (0, ""), line
    return names


@pytest.mark.parametrize("page", ["fluorescence-stack", "star-field"])
def test_a_page_restores_its_own_files_better_than_richardson_lucy(
    daep, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    if page == "star-field":
        pytest.importorskip("astropy")
    monkeypatch.chdir(tmp_path)
    path = root / "docs" / f"{page}.md"
    psnr = run_page(path, daep)["psnr"]
    assert psnr["daep"] > psnr["Richardson-Lucy"] + ADVANTAGE
    printed = {float(value) for value in re.findall(r"\| (\d+\.\d+) \|", path.read_text(encoding="utf-8"))}
    for value in psnr.values():
        assert any(abs(value - number) < 0.1 for number in printed), (value, printed)
