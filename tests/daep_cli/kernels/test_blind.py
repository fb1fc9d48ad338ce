"""The kernel of ``blind`` and ``blind:PHOTO``. The estimate itself is tested with ``daep_deepinv``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import daep_deepinv
from daep_cli.kernels.reading import is_image, kernel_path, read_kernel

#: A horizontal motion over three pixels.
MOTION = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0, 0, 0]]) / 3


@pytest.fixture
def found(monkeypatch):
    """``found(kernel)``: every photograph has that kernel; the photographs that were asked for."""
    asked = []

    def use(kernel):
        def estimate(y, denoiser="dae", seed=0):
            asked.append((y, seed))
            return kernel[None, None]

        monkeypatch.setattr(daep_deepinv, "estimate_kernel", estimate)
        return asked

    return use


def test_the_name_of_a_photograph_is_its_file_and_blind_alone_has_none():
    assert kernel_path("blind:night.jpg") == Path("night.jpg")
    assert kernel_path("blind") is None and not is_image("blind")


def test_the_kernel_of_a_photograph_is_estimated_in_the_range_of_zero_to_one(found, photo):
    asked = found(MOTION)
    assert np.allclose(read_kernel(f"blind:{photo}"), MOTION.numpy())
    ((y, _),) = asked
    assert y.shape == (1, 3, 24, 32) and float(y.min()) >= 0 and float(y.max()) <= 1


def test_daep_kernel_draws_and_writes_it(found, photo, daep, tmp_path):
    found(MOTION)
    outcome = daep("kernel", f"blind:{photo}", "-o", tmp_path / "psf.npy")
    assert outcome.status == 0 and "@@" in outcome.out
    assert np.allclose(np.load(tmp_path / "psf.npy"), MOTION.numpy())


def test_daep_restore_deblurs_with_the_kernel_of_the_photograph(found, photo, daep, tmp_path, weights):
    asked = found(MOTION)
    options = ["--noise", "2.55", "--denoiser", weights, "--iterations", "2", "--seed", "7"]
    outcome = daep("restore", photo, "-o", tmp_path / "out.png", "--kernel", "blind", *options)
    assert outcome.status == 0 and "deblurred" in outcome.out + outcome.err
    assert [seed for _, seed in asked] == [7]
    assert not np.array_equal(np.array(Image.open(tmp_path / "out.png")), np.array(Image.open(photo)))


def test_a_sharp_photograph_stays_as_it_is(found, photo, daep, tmp_path, weights):
    found(torch.ones(1, 1))
    outcome = daep("restore", photo, "-o", tmp_path / "out.png", "--kernel", "blind", "--denoiser", weights)
    assert outcome.status == 0
    assert np.array_equal(np.array(Image.open(tmp_path / "out.png")), np.array(Image.open(photo)))


def test_the_noise_need_not_be_given(found, photo, refused, tmp_path, weights):
    found(MOTION)
    options = ["--kernel", "blind", "--denoiser", weights]  # this network is untrained, so nothing can be estimated
    assert "--noise auto" in refused("restore", photo, "-o", tmp_path / "out.png", *options)


def test_a_comparison_has_no_blind_kernel(photo, refused, tmp_path):
    message = refused("compare", photo, "-o", tmp_path / "out", "--kernel", "blind", "--noise", "2.55")
    assert "--kernel blind" in message
