"""The bias of the kernel step is measured and taken off: with the true image nothing of it is left."""

import pytest
import torch
import torch.nn.functional as F
from blind_scene import discs, measured, oracle

from daep_prior.blind import BlindSettings, Estimate, correction, find_blur, similarity
from daep_prior.blind.correction import corrected
from daep_prior.blind.kernel_shape import centred, one_pixel

SETTINGS = BlindSettings(size=13)


@pytest.fixture(scope="module")
def kernel():
    """A hook with a faint arm, (13, 13), centred."""
    k = torch.zeros(13, 13)
    k[3, 3:9], k[3:10, 9] = 1.0, 4.0
    return centred(k)


@pytest.fixture(scope="module")
def faded(kernel):
    """The kernel without half of its faint arm, and soft."""
    k = kernel.clone()
    k[2:4, :6] = 0
    k = F.avg_pool2d(k[None, None], 3, 1, 1)[0, 0]
    return centred(k)


@pytest.fixture(scope="module")
def y(kernel):
    return measured(discs(), kernel, noise=0.003)


def corrected_by(monkeypatch, y, kernel, ridge):
    monkeypatch.setattr(correction, "LEAST_RIDGE", ridge)
    return corrected(y, oracle, kernel, 0.003, SETTINGS)


def test_a_large_ridge_is_no_bias(monkeypatch, y, kernel, faded):
    better = corrected_by(monkeypatch, y, faded, ridge=300.0)
    assert 1 - similarity(better, kernel) < 0.2 * (1 - similarity(faded, kernel))
    assert better.min() >= 0 and better.sum() == pytest.approx(1, abs=1e-5) and better.shape[0] % 2 == 1


def test_the_true_kernel_stands_still(monkeypatch, y, kernel):
    assert similarity(corrected_by(monkeypatch, y, kernel, ridge=300.0), kernel) > 0.995


def test_a_scattered_kernel_is_not_taken(monkeypatch, y, faded):
    monkeypatch.setattr(correction, "scattered", lambda _: True)
    assert corrected_by(monkeypatch, y, faded, ridge=1.0) is faded


@pytest.mark.parametrize(("noise", "expected"), [(0.003, True), (0.02, False)])
def test_only_photographs_with_little_noise_are_corrected(monkeypatch, kernel, faded, noise, expected):
    module = "daep_prior.blind.several_starts."
    monkeypatch.setattr(
        module + "one_estimate", lambda y, denoise, settings, *_: Estimate(faded, 0.01, settings.factor)
    )
    monkeypatch.setattr(module + "overshoot", lambda *_: 0.5)
    monkeypatch.setattr("daep_prior.blind.chosen_kernel.refined", lambda *_: faded)
    monkeypatch.setattr("daep_prior.blind.chosen_kernel.corrected", lambda *_: one_pixel(3))
    found = find_blur(measured(discs(), kernel, noise=noise), lambda x, s: x, SETTINGS, starts=2)
    assert (found.kernel is not faded) is expected
