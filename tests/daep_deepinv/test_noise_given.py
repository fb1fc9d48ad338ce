"""Every type that holds a number is a number."""

import numpy as np
import pytest
import torch
from deepinv.utils import TensorList

from daep_deepinv import SignalNoise
from daep_deepinv.noise.given import checked_noise, given_noise

Y = torch.rand(2, 3, 8, 8)


@pytest.mark.parametrize(
    "level",
    [
        0.5,
        np.float32(0.5),
        np.float64(0.5),
        np.array(0.5),
        np.array([0.5]),
        torch.tensor(0.5),
        torch.tensor([0.5]),
        [0.5],
    ],
    ids=repr,
)
def test_one_number_of_any_type_is_the_level(level) -> None:
    checked = checked_noise(level)
    assert type(checked) is float and checked == 0.5
    assert given_noise(checked, Y).level(1) == 0.5


@pytest.mark.parametrize("number", [0, 1, np.int64(1), torch.tensor(1)])
def test_whole_numbers_are_numbers(number) -> None:
    assert checked_noise(number) == float(number)


@pytest.mark.parametrize("levels", [[0.1, 0.2], (0.1, 0.2), np.array([0.1, 0.2]), torch.tensor([0.1, 0.2])], ids=repr)
def test_several_numbers_are_one_an_image(levels) -> None:
    stated = given_noise(checked_noise(levels), Y)
    assert [stated.level(i) for i in range(2)] == pytest.approx([0.1, 0.2])


def test_a_map_is_one_a_pixel() -> None:
    levels = torch.rand(2, 1, 8, 8)
    stated = given_noise(checked_noise(levels), Y)
    assert torch.allclose(stated.law(1).variance(Y[1:]), levels[1:].square().expand(1, 3, 8, 8))


def test_the_parts_of_stacked_physics_have_the_same_noise() -> None:
    stated = given_noise(0.1, TensorList([Y, Y[..., :4]]))
    assert stated.level(0) == pytest.approx(0.1)


def test_the_noise_of_a_sensor_is_left_as_it_is() -> None:
    noise = SignalNoise(gain=0.1)
    assert checked_noise(noise) is noise


@pytest.mark.parametrize(
    "bad", ["a little", None, True, object(), [[1.0, 2.0], [1.0]], torch.tensor(1j), torch.tensor([])]
)
def test_what_is_no_number_is_refused(bad) -> None:
    with pytest.raises(TypeError, match="sigma: got"):
        checked_noise(bad)


@pytest.mark.parametrize("bad", [-1, np.float32(-1), torch.nan, np.array([0.1, np.inf]), torch.tensor([0.1, -0.1])])
def test_what_is_no_level_is_refused(bad) -> None:
    with pytest.raises(ValueError, match=r"sigma: got .*; expected a finite standard deviation"):
        checked_noise(bad)


def test_as_many_levels_as_images_are_needed() -> None:
    with pytest.raises(ValueError, match="one an image"):
        given_noise(checked_noise([0.1, 0.2, 0.3]), Y)
