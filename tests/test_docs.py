"""The Python blocks of README and documentation run, on small images and without downloads.

``tests/daep_cli/test_pages.py`` runs the pages about files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import deepinv as dinv
import numpy as np
import pytest
import torch
from PIL import Image

from daep_deepinv import DAEP, DAEDenoiser
from daep_prior import ConvDAE, save_dae
from daep_prior.schedules import shipped_settings, write_settings

ROOT = Path(__file__).resolve().parent.parent
#: Height and width of the images, pixels.
SIZE = 16
PAGES = (
    "README",
    "docs/index",
    "docs/installation",
    "docs/presets",
    "docs/own-operator",
    "docs/own-denoiser",
    "docs/many-channels",
    "docs/noise-models",
    "docs/ranges",
    "docs/large-images",
    "docs/samples",
)


def small_network() -> ConvDAE:
    torch.manual_seed(0)
    return ConvDAE(sigma=None, depth=3, width=8, batch_norm=False, sigma_range=(0.0, 1.0)).fold()


def what_the_pages_assume() -> dict[str, Any]:
    """Variables that pages use without making them."""
    noise = dinv.physics.GaussianNoise(0.01)
    physics = dinv.physics.Blur(torch.full((1, 1, 3, 3), 1 / 9), padding="circular", noise_model=noise)
    x = torch.rand(1, 3, SIZE, SIZE)
    y, randoms = physics(x), torch.zeros_like(x)
    return {"DAEP": DAEP, "sigma": 0.01, "physics": physics, "blur": physics, "x": x, "y": y, "randoms": randoms}


def assumed_by_block(block: str, names: dict[str, Any]) -> None:
    """Variables of one block: its measurement has another kind."""
    if "(y, MyOperator())" in block:
        names["y"] = torch.rand(1, 1, SIZE, SIZE)
    if "MRI" in block:
        names["mask"] = torch.ones(SIZE, SIZE)
        names["y"] = torch.rand(1, 2, SIZE, SIZE)
    if "MyDenoiser" in block:
        names["MyDenoiser"] = lambda: DAEDenoiser(small_network())
    if "Op:" in block:
        pytest.importorskip("pyproximal", reason="pip install daep-prior[pyproximal]")
        import pylops

        names["Op"] = pylops.Identity(SIZE**2, dtype="float32")
        names["Op"].dims = names["Op"].dimsd = (SIZE, SIZE)
        names["y"] = np.random.default_rng(0).random(SIZE**2).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the pages read. Presets, methods and networks are quick ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daep_deepinv.reconstructor.DEFAULT_PRESET", "fast")
    monkeypatch.setattr("daep_compare.comparison.usual_methods", lambda physics, sigma: ("pnp-hqs", "daep-fast"))
    monkeypatch.setattr(dinv.models, "DRUNet", lambda: DAEDenoiser(small_network()))
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.png")
    save_dae(small_network(), "my-dae.safetensors")
    write_settings("settings.json", shipped_settings(), network="dae", origin="a test")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs(page: str) -> None:
    text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        names = what_the_pages_assume()
        for block in blocks:
            small = re.sub(r"\b(256|320)\b", str(SIZE), block) if "img_size" in block else block
            assumed_by_block(small, names)
            exec(compile(small, page, "exec"), names)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_code_on_the_first_page_does_not_scroll_sideways(page: str) -> None:
    blocks = re.findall(r"```\w+\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 96
