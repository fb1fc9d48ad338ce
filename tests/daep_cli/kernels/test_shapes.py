"""Kernels drawn from numbers: the right size, the right direction, and no shift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from daep_cli.kernels.shapes import SHAPES, disk, draw_kernel, gaussian, motion

EXAMPLES = [example for _, _, example in SHAPES.values()]


def moments(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre of mass and covariance, (right, up) from the middle."""
    height, width = kernel.shape
    up, right = np.mgrid[:height, :width] * np.array([-1.0, 1.0])[:, None, None]
    places = np.stack([right - (width - 1) / 2, up + (height - 1) / 2]).reshape(2, -1)
    mean = places @ kernel.ravel()
    off = places - mean[:, None]
    return mean, off * kernel.ravel() @ off.T


@pytest.mark.parametrize("specification", [*EXAMPLES, "motion:1:0", "motion:300:77.7", "gaussian:0.1", "disk:0.5"])
def test_every_shape_is_odd_centred_non_negative_and_sums_to_one(specification: str) -> None:
    kernel = draw_kernel(specification)
    assert kernel.shape[0] % 2 == kernel.shape[1] % 2 == 1
    assert kernel.sum() == pytest.approx(1)
    assert kernel.min() >= 0
    np.testing.assert_allclose(moments(kernel)[0], 0, atol=1e-6)
    assert kernel[0].any() or len(kernel) == 1 or specification.startswith("gaussian")  # no empty border


@pytest.mark.parametrize("length", [3, 7.5, 15])
@pytest.mark.parametrize("angle", [0, 30, 45, 90, 120, -60, 190])
def test_motion_has_the_length_and_the_direction_that_one_sees(length: float, angle: float) -> None:
    _, covariance = moments(motion(length, angle))
    values, axes = np.linalg.eigh(covariance)
    # a line of even density; pixels add or take away about the variance of one
    assert values[1] == pytest.approx(length**2 / 12, abs=0.13, rel=0.05)
    assert values[0] < 0.35
    seen = math.degrees(math.atan2(axes[1, 1], axes[0, 1]))
    assert abs((seen - angle + 90) % 180 - 90) < 3


def test_whole_horizontal_and_vertical_paths_are_even() -> None:
    np.testing.assert_allclose(motion(5, 0), np.full((1, 5), 0.2))
    np.testing.assert_allclose(motion(5, 90), np.full((5, 1), 0.2))


@pytest.mark.parametrize("radius", [1.5, 4, 20])
def test_a_disk_has_its_radius(radius: float) -> None:
    kernel = disk(radius)
    _, covariance = moments(kernel)
    np.testing.assert_allclose(covariance, np.eye(2) * radius**2 / 4, rtol=0.03, atol=1 / 12)
    assert kernel.max() == pytest.approx(1 / (math.pi * radius**2), rel=0.02)


@pytest.mark.parametrize("sigma", [0.8, 1.6, 10])
def test_a_gaussian_has_its_width(sigma: float) -> None:
    _, covariance = moments(gaussian(sigma))
    np.testing.assert_allclose(covariance, np.eye(2) * sigma**2, rtol=0.03, atol=1e-3)


@pytest.mark.parametrize(
    ("specification", "reason"),
    [
        ("motion:15", "expected motion:LENGTH:ANGLE .* as in motion:15:30"),
        ("motion:15:30:1", "expected motion:LENGTH:ANGLE"),
        ("motion:a:b", "expected motion:LENGTH:ANGLE"),
        ("motion:0.5:30", "a length of 0.5 pixels; expected 1 to"),
        ("motion:1e9:30", "a length of 1e.09 pixels"),
        ("motion:15:inf", "an angle of inf"),
        ("gaussian", "expected gaussian:SIGMA .* as in gaussian:1.6"),
        ("gaussian:nan", "a standard deviation of nan"),
        ("gaussian:0", "a standard deviation of 0"),
        ("disk:", "expected disk:RADIUS"),
        ("disk:999", "a radius of 999 pixels; expected 0.5 to 150"),
    ],
)
def test_bad_numbers_are_refused_with_what_is_expected(specification: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"--kernel {specification}: .*{reason}"):
        draw_kernel(specification)
