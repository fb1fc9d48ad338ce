"""Blur that varies over a photograph: kernels by regions, moved to each other, joined in one physics."""

import pytest
import torch
from blind_scene import discs
from deepinv.physics import Blur

from daep_deepinv import DAEP, BlindDAEP
from daep_deepinv.blind.restoration import assumed_noise
from daep_deepinv.blind.varying import filled, smoothed
from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_deepinv.blind.varying_position import in_the_middle
from daep_prior.blind import FoundBlur, similarity

ACROSS, DOWN = torch.zeros(7, 7), torch.zeros(7, 7)
ACROSS[3], DOWN[:, 3] = 1 / 7, 1 / 7
ALL = torch.ones(1, 2, dtype=torch.bool)
BENT = torch.zeros(9, 9)
BENT[2:7, 3], BENT[6, 3:7] = 1, 1
BENT /= BENT.sum()


@pytest.fixture
def regions(monkeypatch):
    """``regions(blurs)``: regions of 48 pixels, which have these blurs in turn."""
    monkeypatch.setattr("daep_deepinv.blind.varying.LEAST_SIDE", 48)
    monkeypatch.setattr("daep_deepinv.blind.varying.SIDES_PER_KERNEL", 1)

    def use(*blurs):
        left = list(blurs)

        def found(y, size, prior, starts, seed, follow=None):
            if follow is not None:
                follow(0, 1.0, 0, ACROSS)
            return [left.pop(0)]

        monkeypatch.setattr("daep_deepinv.blind.varying.found_blurs", found)

    return use


def blur(kernel, confidence=0.97, verdict="found", doubt=0.0):
    return FoundBlur(kernel, confidence, verdict, [], doubt)


LOST = blur(torch.ones(1, 1), 0.2, "not found")


# -- kernels of neighbours -------------------------------------------------------------------------------------------


def test_every_kernel_has_its_centre_of_mass_in_the_middle():
    kernels = torch.stack([BENT, BENT.roll((1, -1), (0, 1)), BENT.T])
    moved = in_the_middle(kernels)
    places = torch.arange(11.0) - 5
    assert moved.sum((1, 2)).tolist() == pytest.approx([1, 1, 1]) and moved.min() >= 0
    for axis in (1, 2):
        assert ((moved.sum(axis) * places).sum(1)).abs().max() < 0.1


def test_kernels_that_differ_by_shifts_become_equal():
    moved = in_the_middle(torch.stack([BENT, BENT.roll((1, -1), (0, 1)), BENT.roll((0, 2), (0, 1))]))
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-3)


def test_a_kernel_in_the_middle_stays_as_it_is():
    assert torch.allclose(in_the_middle(ACROSS[None])[0, 1:-1, 1:-1], ACROSS, atol=1e-3)


def test_the_errors_of_like_kernels_average_out_and_unlike_ones_do_not_mix():
    errors = 0.01 * torch.rand(1, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    alike = BENT + errors
    trusted = torch.ones(1, 4, dtype=torch.bool)
    both = torch.cat([alike[:, :2], alike.transpose(-1, -2)[:, 2:].flip(-1)], 1)
    for kernels in (alike, both):
        new = smoothed(kernels / kernels.sum((-2, -1), keepdim=True), trusted)
        assert new.sum((-2, -1)).flatten().tolist() == pytest.approx([1] * 4)
        assert similarity(new[0, 0], BENT) > similarity(kernels[0, 0], BENT)
        assert similarity(new[0, 1], BENT) > similarity(kernels[0, 1], BENT) - 0.01


def test_a_kernel_that_is_not_trusted_is_the_mean_of_its_neighbours():
    kernels = torch.stack([ACROSS, LOST.kernel.expand(7, 7), DOWN]).view(1, 3, 7, 7)
    trusted = torch.tensor([[True, False, True]])
    assert torch.allclose(filled(kernels, trusted)[0, 1], (ACROSS + DOWN) / 2)
    assert torch.equal(filled(kernels, trusted)[trusted], kernels[trusted])


# -- the physics -----------------------------------------------------------------------------------------------------


def test_equal_kernels_are_one_blur():
    kernel = VaryingKernel(BENT.expand(2, 3, 9, 9), torch.ones(2, 3, dtype=torch.bool), (50, 61))
    x = torch.rand(1, 3, 58, 69, generator=torch.Generator().manual_seed(0))
    expected = Blur(BENT[None, None], padding="valid").A(x)
    assert torch.allclose(kernel.physics().A(x), expected, atol=1e-5)


def test_the_error_grows_with_the_difference_of_neighbours():
    same, unlike = (VaryingKernel(torch.stack([ACROSS, k]).view(1, 2, 7, 7), ALL, (50, 61)) for k in (ACROSS, DOWN))
    assert same.error == pytest.approx(0, abs=1e-4) and unlike.error > 5 / 255
    assert assumed_noise(torch.zeros(1, 1, 50, 61), 0.01, unlike.error) > unlike.error


def test_each_kernel_stands_at_its_centre():
    kernel = VaryingKernel(torch.stack([ACROSS, DOWN]).view(1, 2, 7, 7), ALL, (50, 61))
    for (row, column), expected in zip(kernel.centres[0].round().long().tolist(), (ACROSS, DOWN), strict=True):
        impulse = torch.zeros(1, 1, 56, 67)
        impulse[..., row + 3, column + 3] = 1
        seen = kernel.physics().A(impulse)[0, 0, row - 3 : row + 4, column - 3 : column + 4]
        assert torch.allclose(seen, expected, atol=0.03)


# -- the reconstructor -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scene():
    return discs()[..., :54, :102]


@pytest.fixture(scope="module")
def blurred(scene):
    """Motion across on the left and down on the right, (1, 1, 48, 96)."""
    kernel = VaryingKernel(torch.stack([ACROSS, DOWN]).view(1, 2, 7, 7), ALL, (48, 96))
    noise = torch.randn(1, 1, 48, 96, generator=torch.Generator().manual_seed(0))
    return (kernel.physics().A(scene) + 0.01 * noise).clamp(0, 1)


def test_the_photograph_is_restored_with_the_kernels_where_they_stand(regions, scene, blurred):
    kernels = torch.stack([ACROSS, (ACROSS + DOWN) / 2, DOWN])
    regions(*[blur(kernel) for kernel in kernels])
    model = BlindDAEP(size=7, varying=True)
    x = model(blurred)
    (kernel,) = model.kernel
    assert torch.allclose(kernel.kernels[0], kernels, atol=0.01)  # they are averaged with a small weight
    assert kernel.trusted.all() and kernel.centres.shape == (1, 3, 2)
    assert model.verdict == ["found"] and model.confidence == [pytest.approx(0.97)]
    truth, inside = scene[..., 3:-3, 3:-3], (..., slice(6, -6), slice(6, -6))
    wide = DAEP(2.55 / 255, preset="fast")(blurred, Blur(kernels[1][None, None], padding="valid"))
    errors = [float((one - truth)[inside].square().mean()) for one in (x, blurred, wide[..., 3:-3, 3:-3])]
    assert errors[0] < 0.4 * errors[1] and errors[0] < 0.7 * errors[2]


def test_no_kernel_is_larger_than_size(regions, blurred):
    shifted = torch.zeros(7, 7)
    shifted[3, 1:] = 1 / 6  # half a pixel is moved
    regions(blur(ACROSS), blur(shifted), blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    model(blurred)
    (kernel,) = model.kernel
    assert kernel.kernels.shape[-1] <= 7
    assert kernel.kernels.sum((-2, -1)).flatten().tolist() == pytest.approx([1] * 3)


def test_a_region_that_is_not_found_gets_the_kernel_of_its_neighbours(regions, blurred):
    regions(blur(ACROSS), LOST, blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    model(blurred)
    (kernel,) = model.kernel
    assert kernel.trusted.tolist() == [[True, False, True]]
    assert torch.allclose(kernel.kernels[0, 1], ACROSS, atol=1e-3)
    assert model.confidence == [pytest.approx(2 * 0.97 / 3)]


@pytest.mark.parametrize("bad", [LOST, blur(DOWN, 0.6), blur(DOWN, 0.97, doubt=1.5)], ids=["lost", "unsure", "doubt"])
def test_regions_that_are_not_trusted_leave_one_kernel_and_it_is_said(regions, blurred, bad):
    regions(blur(ACROSS), bad, bad, blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    with pytest.warns(UserWarning, match="one kernel is used for the whole photograph: it is found in 1 of 3 regions"):
        model(blurred)
    assert model.kernel[0].kernels.shape[:2] == (1, 1) and torch.equal(model.kernel[0].kernels[0, 0], ACROSS)


def test_a_photograph_too_small_for_regions_has_one_kernel_and_it_is_said(regions, blurred):
    regions(blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    with pytest.warns(UserWarning, match="too small for two regions of 48 pixels"):
        x = model(blurred[..., :48])
    assert x.shape == (1, 1, 48, 48)


def test_a_photograph_that_is_sharp_everywhere_comes_back_as_it_was(regions, blurred):
    regions(*[blur(torch.ones(1, 1), 0.99, "sharp")] * 3)
    model = BlindDAEP(size=7, varying=True)
    assert torch.equal(model(blurred), blurred) and model.verdict == ["sharp"]


def test_starts_are_counted_over_the_regions(regions, blurred):
    regions(*[blur(ACROSS)] * 3)
    begun = []
    BlindDAEP(size=7, varying=True, starts=2)(blurred, callback=lambda *what: begun.append(what[0]))
    assert begun == [0, 2, 4]
