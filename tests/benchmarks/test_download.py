"""Download of test images, with dataset classes that have their files already."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from reproduction import download


class FakeSet:
    """A dataset class of deepinv that finds its files already downloaded."""

    names = ("bird", "head")

    def __init__(self, root, download):
        assert download
        self.img_dir = f"{root}/raw"
        for name in self.names:
            path = Path(self.img_dir) / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)


class FakeKodak(FakeSet):
    names = ("1", "12")


def test_what_is_downloaded_has_the_names_that_the_studies_look_for(tmp_path, monkeypatch):
    for name, fake in (("Set5HR", FakeSet), ("Set14HR", FakeSet), ("Kodak24", FakeKodak)):
        monkeypatch.setattr(download, name, fake)
    sides = iter(download.KERNEL_SIDES)
    monkeypatch.setattr(download, "load_degradation", lambda name, folder, index: torch.ones(2 * [next(sides)]))
    download.fetch(tmp_path)
    assert {path.name for path in (tmp_path / "set5").iterdir()} == {"bird.png", "head.png"}
    assert {path.name for path in (tmp_path / "kodak24").iterdir()} == {"kodim01.png", "kodim12.png"}
    assert np.load(tmp_path / "kernels" / "levin.npz")["k4"].shape == (27, 27)


def test_kernels_in_another_order_are_refused(tmp_path, monkeypatch):
    for name in ("Set5HR", "Set14HR", "Kodak24"):
        monkeypatch.setattr(download, name, FakeKodak)
    monkeypatch.setattr(download, "load_degradation", lambda name, folder, index: torch.ones(9, 9))
    with pytest.raises(SystemExit, match="sides"):
        download.fetch(tmp_path)
