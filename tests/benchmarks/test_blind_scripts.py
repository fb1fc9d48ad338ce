"""``benchmarks/blind_synthetic.py`` and ``blind_varying.py``: the photographs are what the documentation says."""

import sys

import blind
import blind_synthetic
import blind_varying
import pytest
import torch
from PIL import Image
from skimage import data

from daep_prior.blind import FoundBlur


@pytest.fixture
def folder(tmp_path):
    """A data folder with two Kodak images of 440 x 430 pixels."""
    (tmp_path / "kodak24").mkdir()
    for number in (1, 2):
        Image.fromarray(data.astronaut()[:430, 10 * number : 440 + 10 * number]).save(
            tmp_path / "kodak24" / f"kodim{number:02d}.png"
        )
    return tmp_path


@pytest.fixture
def quick(monkeypatch):
    """Every photograph is found sharp at once."""
    asked = []

    def found(y, *_):
        asked.append(y)
        return [FoundBlur(torch.ones(1, 1), 0.9, "sharp", [])]

    monkeypatch.setattr("daep_deepinv.blind.reconstructor.found_blurs", found)
    monkeypatch.setattr(blind, "deblurred", lambda y, *_: y)
    return asked


def test_the_twelve_kernels_have_9_to_41_pixels_and_are_the_same_each_time():
    kernels = blind_synthetic.kernels()
    assert len(kernels) == 12
    assert {kernel.shape[0] for kernel in kernels.values()} >= {9, 41}
    for (name, kernel), again in zip(kernels.items(), blind_synthetic.kernels().values(), strict=True):
        assert 9 <= kernel.shape[0] == kernel.shape[1] <= 41 and kernel.shape[0] % 2 == 1, name
        assert kernel.min() >= 0 and kernel.sum() == pytest.approx(1, abs=1e-5)
        assert torch.equal(kernel, again)


def test_photographs_get_the_kernels_in_turn_or_all_of_them(folder):
    cases = list(blind_synthetic.cases(folder, "kodak", everything=False))
    assert [case.name for case in cases] == ["kodim01, shake 9", "kodim02, motion 15"]
    for case in cases:
        assert case.y.shape == case.sharp.shape == (1, 3, 384, 384)
        assert torch.equal((255 * case.y).round() / 255, case.y)
        assert float((case.y - case.sharp).mean()) == pytest.approx(0, abs=2e-3)
    assert len(list(blind_synthetic.cases(folder, "kodak", everything=True))) == 24


def test_a_shift_by_part_of_a_pixel_loses_nothing():
    x = torch.rand(1, 1, 80, 80, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    moved = blind.shifted(x, 2.5, -1.25)
    assert blind.squared_error(moved, x) < 1e-2 * blind.squared_error(x.roll(1, 2).flip(3), x)
    assert torch.allclose(blind.shifted(x, 3, -2)[..., 20:60, 20:60], x[..., 23:63, 18:58], atol=1e-5)


def test_the_best_shift_is_no_multiple_of_a_quarter_pixel():
    x = torch.rand(1, 1, 80, 80, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.avg_pool2d(x, 3, 1, 1)
    moved = blind.shifted(x, 2.375, -1.125)
    in_quarters, exact = blind.squared_errors(moved, x)
    assert exact < 0.1 * in_quarters == 0.1 * blind.squared_error(moved, x)


def test_cases_are_measured_once_and_drawn(folder, quick, monkeypatch, tmp_path):
    command = ["blind_synthetic.py", "--data", str(folder), "--results", str(tmp_path / "results")]
    for cases in ("1", "2"):
        monkeypatch.setattr(sys, "argv", [*command, "--cases", cases])
        blind_synthetic.main()
    assert len(quick) == 2
    results = tmp_path / "results"
    assert {path.suffix for path in results.iterdir()} == {".csv", ".md", ".npz", ".png"}
    assert "| 2 |" in (results / "blind-synthetic-kodak.md").read_text()


@pytest.mark.parametrize("make", [blind_varying.rotation, blind_varying.turn, blind_varying.lens, blind_varying.shake])
def test_a_blur_that_varies_keeps_the_brightness_and_differs_between_corners(make):
    side = 120
    physics = make(side)
    assert physics.A(torch.ones(1, 3, side, side)) == pytest.approx(1, abs=0.02)
    spots = torch.zeros(1, 3, side, side)
    spots[..., 25, 25] = spots[..., -26, -26] = 1
    y = physics.A(spots)[0, 0]
    assert float((y[5:26, 5:26] - y[-26:-5, -26:-5]).abs().sum()) > 0.02
