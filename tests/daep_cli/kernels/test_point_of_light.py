"""A point of light becomes a kernel, and what is no point of light is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from daep_cli.kernels.point_of_light import find_spot, read_spot
from daep_cli.kernels.shapes import gaussian, motion
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.tone_curves import SRGB
from daep_cli.photographs.writing import write_photo

#: A curved, asymmetric path, softened as a lens does.
KERNEL = ndimage.gaussian_filter(np.pad(motion(13, 35) * np.linspace(0.5, 1.5, motion(13, 35).shape[1]), 6), 0.8)


def encoded(light: np.ndarray) -> np.ndarray:
    """sRGB values of amounts of light."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def night(
    *places: tuple[int, int], peak: float = 0.7, background: float = 0.02, noise: float = 0.002, size: int = 90
) -> np.ndarray:
    """Amounts of light of a picture with points of light at (row, column)."""
    light = np.zeros((size, size + 10))
    for row, column in places:
        light[row, column] = 1
    light = ndimage.convolve(light, KERNEL / KERNEL.max(), mode="constant") * peak + background
    return (light + noise * np.random.default_rng(0).standard_normal(light.shape)).clip(0, 1)


def save(path: Path, light: np.ndarray, dtype: type = np.uint8, tint: tuple[float, ...] = (1.0, 0.8, 0.6)) -> Path:
    """As a camera does: coloured, and in sRGB."""
    values = encoded(light[..., None] * np.array(tint))
    write_photo(Photo((values * np.iinfo(dtype).max).round().astype(dtype)), path)
    return path


def distance(kernel: np.ndarray) -> float:
    """Sum of absolute differences to the true kernel, at the shift (below a pixel is not corrected) that fits best."""
    side = 61
    true, got = (np.zeros((side, side)) for _ in range(2))
    for plane, values in ((true, KERNEL / KERNEL.sum()), (got, kernel)):
        top, left = ((side - n) // 2 for n in values.shape)
        plane[top : top + values.shape[0], left : left + values.shape[1]] = values
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return min(float(abs(np.roll(got, shift, (0, 1)) - true).sum()) for shift in shifts)


def test_amounts_of_light_are_those_of_srgb() -> None:
    light = np.linspace(0, 1, 50)
    np.testing.assert_allclose(SRGB.light(encoded(light)), light, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("place", [(45, 50), (30, 61)])
def test_the_kernel_is_found_wherever_the_spot_is(tmp_path: Path, dtype: type, place: tuple[int, int]) -> None:
    kernel = read_spot(save(tmp_path / "spot.png", night(place), dtype))
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    centre = ndimage.center_of_mass(kernel)
    assert all(abs(c - (n - 1) / 2) <= 0.5 for c, n in zip(centre, kernel.shape, strict=True))
    assert max(kernel.shape) < 45
    assert distance(kernel) < 0.12


def test_neither_the_noise_nor_the_background_becomes_part_of_it(tmp_path: Path) -> None:
    light = night((45, 50), background=0.1, noise=0.01)
    light += np.linspace(0, 0.05, light.shape[1])
    kernel = read_spot(save(tmp_path / "spot.png", light.clip(0, 1), np.uint16))
    assert distance(kernel) < 0.25
    assert max(kernel.shape) < 45


def test_without_noise_a_narrow_spot_comes_back_as_it_was() -> None:
    point = gaussian(1.6)
    light = np.pad(0.5 * point / point.max(), 20)
    kernel = find_spot(light, np.zeros(light.shape, bool))
    assert kernel.shape[0] >= 9
    inner = [(n - 9) // 2 for n in kernel.shape]
    cut = kernel[inner[0] : inner[0] + 9, inner[1] : inner[1] + 9]
    np.testing.assert_allclose(cut, point[2:11, 2:11], atol=0.002)


@pytest.mark.parametrize(
    ("light", "reason"),
    [
        (night(), "no point of light stands out"),
        (night(noise=0), "no point of light stands out"),
        (night((45, 50), peak=0.05, noise=0.05), "no point of light stands out"),
        (night((25, 30), (65, 70)), r"several points of light, at \(x, y\) = \(.*\) and \(.*\); crop the photograph"),
        (night((2, 50)), "touches the edge"),
        (night((45, 50), peak=9), "is saturated .* expose shorter"),
        (np.ones((50, 50)), "no point of light stands out"),
        (np.zeros((1, 1)), "no point of light stands out"),
    ],
    ids=["noise", "nothing", "faint", "two", "edge", "saturated", "white", "one pixel"],
)
def test_what_is_no_usable_point_of_light_is_refused(tmp_path: Path, light: np.ndarray, reason: str) -> None:
    path = save(tmp_path / "spot.png", light, tint=(1, 1, 1))
    with pytest.raises(ValueError, match=rf"--kernel spot:.*spot\.png: .*{reason}"):
        read_spot(path)


def test_a_faint_second_light_does_no_harm(tmp_path: Path) -> None:
    light = night((45, 30)) + night((45, 75), peak=0.03, background=0, noise=0)
    assert distance(read_spot(save(tmp_path / "spot.png", light))) < 0.15
