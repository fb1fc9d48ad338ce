"""A small data folder, and restoration replaced by a known error."""

import numpy as np
import pytest
import torch
from PIL import Image
from reproduction import run as reproduction_run
from reproduction import studies

SIDE = 48
#: Of these only a box far from the corner is used.
KODAK_SIDE = 128


@pytest.fixture
def data(tmp_path):
    """A data folder of small images with sharp edges."""
    folder = tmp_path / "data"
    names = [f"set5/{name}" for name in studies.SET5] + [f"levin/im{i}" for i in (1, 2, 3, 4)]
    names += [f"kodak24/kodim{i:02d}" for i in range(1, 25)]
    for seed, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = KODAK_SIDE if "kodak" in name else SIDE
        tiles = np.random.default_rng(seed).integers(20, 236, (6, 6, 3), np.uint8)
        Image.fromarray(tiles).resize((side, side), Image.Resampling.NEAREST).save(path)
    (folder / "kernels").mkdir()
    kernels = np.random.default_rng(0).random((8, 5, 5))
    np.savez(
        folder / "kernels" / "levin.npz", **{f"k{i}": kernel / kernel.sum() for i, kernel in enumerate(kernels, 1)}
    )
    return folder


@pytest.fixture
def run(data, tmp_path):
    return reproduction_run.Run(
        data, tmp_path / "results", tmp_path / "pictures", tmp_path / "scratch", torch.device("cpu"), cases=2
    )


@pytest.fixture
def restored(monkeypatch):
    """Restoration replaced by the clean image and a known error; the list of what was asked for."""
    asked = []

    def fake(method, case, data, device):
        asked.append((case.name, method))
        return (case.clean + 0.1).clamp(0, 1) if method.network else case.clean.roll(1, -1)

    monkeypatch.setattr(reproduction_run, "restore", fake)
    return asked
