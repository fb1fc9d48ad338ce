"""Every example runs on few pixels, downloads nothing, draws a figure, and improves the PSNR."""

from __future__ import annotations

import re
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("plot_*.py"))
#: Height and width of the images, pixels.
SIZE = 48
#: Examples of toolkits that are optional.
TOOLKITS = {"plot_pyproximal": "pyproximal", "plot_scico": "scico"}
#: Example -> (what must be better, than what), keys of the example's ``psnr``.
BETTER = {
    "plot_deblurring": [("DAEP", "blurred")],
    "plot_blind_deblurring": [("BlindDAEP", "blurred")],
    "plot_super_resolution": [("DAEP", "bicubic")],
    "plot_inpainting": [("DAEP", "start"), ("start", "missing pixels")],
    "plot_denoising": [("DAEP", "noisy"), ("network", "noisy")],
    "plot_swap_prior": [("DAEP", "blurred"), ("RED", "blurred")],
    "plot_compare_admm": [("DAEP, noise estimated, twice as assumed", "PnP-ADMM, twice as assumed")],
    "plot_custom_operator": [("DAEP", "measurement")],
    "plot_custom_denoiser": [("cosine windows", "blurred"), ("shipped network", "cosine windows")],
    "plot_pyproximal": [("restore", "blurred"), ("FISTA, one width", "blurred")],
    "plot_scico": [("restore", "blurred"), ("ADMM, one width", "blurred")],
    "plot_training": [("this training", "half is missing"), ("shipped network", "this training")],
}


def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The example's variables, from a run on small images and without a network."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("an example tried to reach the network")

    plt.switch_backend("Agg")
    plt.close("all")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)
    monkeypatch.setenv("DAEP_EXAMPLE_SIZE", str(SIZE))
    monkeypatch.setattr(sys, "path", [*sys.path])  # one of them adds a folder
    monkeypatch.chdir(path.parent)
    with torch.random.fork_rng(devices=[]):
        return runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_offline_draws_and_restores(path, monkeypatch):
    if path.stem in TOOLKITS:
        pytest.importorskip(TOOLKITS[path.stem], reason=f"pip install daep-prior[{TOOLKITS[path.stem]}]")
    variables = run(path, monkeypatch)
    assert plt.get_fignums(), "no figure"
    plt.close("all")
    psnr = variables.get("psnr", {})
    for better, worse in BETTER.get(path.stem, []):
        assert psnr[better] > psnr[worse], psnr
    if path.stem == "plot_custom_operator":
        assert variables["adjointness_error"] < 1e-3
    if path.stem == "plot_mean_shift_2d":
        assert variables["error"] < 0.6 and variables["cosine"] > 0.7


def test_every_example_is_checked():
    assert {path.stem for path in EXAMPLES} == {*BETTER, "plot_mean_shift_2d"}


def test_the_first_lines_of_the_readme_restore_a_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(data.astronaut()[60 : 60 + 3 * SIZE, 150 : 150 + 3 * SIZE]).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        exec(block[1], names)
    x, y, restored = names["x"], names["y"], names["x_hat"]
    rim = (x.shape[-1] - y.shape[-1]) // 2

    def error(image: torch.Tensor) -> float:
        return float((image - x[..., rim:-rim, rim:-rim]).square().mean())

    assert error(restored[..., rim:-rim, rim:-rim]) < error(y) / 1.5
