"""``daep demo``: the whole chain on a tiny crop, and the picture that the README shows."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daep_cli.demonstration.picture import side_by_side, with_inset
from daep_cli.demonstration.scene import PHOTOGRAPHS, motion_kernel


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_each_photograph_is_found_without_a_network(daep, tmp_path, weights, name, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the demo opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    out = tmp_path / "demo.png"
    options = ["--size", 32, "--denoiser", weights, "--iterations", 2]
    outcome = daep("demo", "-o", out, "--image", name, *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert "PSNR" in outcome.out and "(2 iterations, " in outcome.out
    with Image.open(out) as file:
        assert file.mode == "RGB"


def test_the_same_command_gives_the_same_picture(daep, tmp_path: Path, weights: Path) -> None:
    for name in ("a.png", "b.png"):
        daep("demo", "-o", tmp_path / name, "--size", 32, "--denoiser", weights, "--iterations", 2)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("side", [16, 256])
def test_no_text_is_cut(side: int) -> None:
    picture = side_by_side([("a very long title, gjpq", "PSNR 29.99 dB", np.full((side, side, 3), 255, np.uint8))] * 3)
    pixels = np.asarray(picture)
    edges = np.concatenate([pixels[:4].ravel(), pixels[-4:].ravel(), pixels[:, :4].ravel(), pixels[:, -4:].ravel()])
    assert (edges == 255).all()
    assert (pixels < 128).any()


def test_the_kernel_is_a_kernel() -> None:
    kernel = motion_kernel()
    assert kernel.shape == (1, 1, 25, 25)
    assert abs(float(kernel.sum()) - 1) < 1e-6
    assert float(kernel.min()) >= 0
    assert int((kernel > 0).sum()) > 15  # a path, not a point


@pytest.mark.parametrize(("side", "magnified"), [(74, 0), (75, 1), (150, 2)])
def test_the_kernel_is_drawn_in_a_corner_where_there_is_room(side: int, magnified: int) -> None:
    image = np.full((side, side, 3), 77, np.uint8)
    kernel = motion_kernel()[0, 0].numpy()
    drawn = with_inset(image, kernel)
    assert drawn.shape == image.shape and (image == 77).all()
    covered = magnified * kernel.shape[0] + 2 if magnified else 0  # a frame of one pixel
    assert (drawn[covered:] == 77).all() and (drawn[:, covered:] == 77).all()
    if magnified:
        inset = drawn[1 : covered - 1 : magnified, 1 : covered - 1 : magnified, 0]
        np.testing.assert_array_equal(inset > 0, 255 * np.sqrt(kernel / kernel.max()) > 0.5)
        assert inset.max() == 255


def test_bad_input_is_one_line(refused, tmp_path: Path) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(b"mine")
    assert "give --overwrite" in refused("demo", "-o", there)
    assert "--size 5: expected 16 to" in refused("demo", "-o", tmp_path / "o.png", "--size", 5)
    assert "--size 500: expected 16 to" in refused("demo", "-o", tmp_path / "o.png", "--size", 500)
    refused("demo", "-o", tmp_path / "o.png", "--image", "lena")
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "o.png").exists()
