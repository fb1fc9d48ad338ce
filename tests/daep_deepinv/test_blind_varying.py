"""Blur that varies over a photograph: kernels by regions, moved to each other, joined in one physics."""

import pytest
import torch
from blind_scene import discs
from deepinv.physics import Blur

from daep_deepinv import DAEP, BlindDAEP
from daep_deepinv.blind.prior import as_blind_prior
from daep_deepinv.blind.restoration import assumed_noise
from daep_deepinv.blind.varying import filled, smoothed
from daep_deepinv.blind.varying_camera import CameraBlur, Judge, camera_blur, refined_blur, repeated, suits
from daep_deepinv.blind.varying_kernel import VaryingBlur, VaryingKernel
from daep_deepinv.blind.varying_position import in_the_middle
from daep_prior.blind import FoundBlur, similarity
from daep_prior.blind.camera_poses import one_pose
from daep_prior.blind.camera_refinement import shake_of
from daep_prior.blind.camera_shake import CameraShake
from daep_prior.blind.windows import Windows

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

        def found(y, size, prior, starts, seed, follow=None, whole=True):
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


@pytest.mark.parametrize("bad", [LOST, blur(DOWN, 0.4), blur(DOWN, 0.97, doubt=1.5)], ids=["lost", "unsure", "doubt"])
def test_regions_that_are_not_trusted_leave_one_kernel_and_it_is_said(regions, blurred, bad):
    regions(blur(ACROSS), bad, bad, blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    with pytest.warns(UserWarning, match="one kernel is used for the whole photograph: it is found in 1 of 3 regions"):
        model(blurred)
    assert model.kernel[0].kernels.shape[:2] == (1, 1) and torch.equal(model.kernel[0].kernels[0, 0], ACROSS)


def test_a_photograph_too_small_for_regions_has_one_kernel_and_it_is_said(regions, blurred):
    regions(blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    with pytest.warns(UserWarning, match="48 x 48 pixels, too few for two regions of 48 pixels"):
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


# -- the poses of a camera -------------------------------------------------------------------------------------------


def test_the_windows_of_the_core_are_those_of_the_physics():
    kernels = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    windows = Windows((50, 61), 9, (2, 3))
    x = torch.rand(1, 1, 58, 69, generator=torch.Generator().manual_seed(1))
    expected = VaryingKernel(kernels, torch.ones(2, 3, dtype=torch.bool), (50, 61)).physics().A(x)
    spread = windows.blurred(x, windows.transfer(kernels))[..., 4:-4, 4:-4]
    assert float((spread - expected).abs().max()) < 0.01 * float(expected.abs().max())  # other ends of the triangles
    places = windows.places + torch.tensor([25.0, 30.5]) - 0.5
    assert torch.equal(VaryingKernel(kernels, torch.ones(2, 3, dtype=torch.bool), (50, 61)).centres, places)


@pytest.fixture
def camera(regions, monkeypatch):
    """``camera(misfits, confidence, share, blurs)``: misfits of one kernel, the camera, the regions; the share of the
    variation that is repeated; found blurs in turn."""

    def use(misfits, confidence, share, *blurs):
        regions(*blurs)
        left = list(misfits)
        kernel = VaryingKernel(torch.stack([ACROSS, BENT[1:8, 1:8], DOWN]).view(1, 3, 7, 7), ALL[:, :1], (48, 96), 0.01)
        monkeypatch.setattr("daep_deepinv.blind.varying.suits", lambda y: True)
        monkeypatch.setattr("daep_deepinv.blind.reconstructor.deblurred", lambda y, *_: y)
        monkeypatch.setattr("daep_deepinv.blind.varying_camera.Judge.misfit", lambda *_: left.pop(0))
        monkeypatch.setattr(
            "daep_deepinv.blind.varying.camera_blur",
            lambda *_: CameraBlur(VaryingBlur(kernel, confidence, "found"), left.pop(0), share, []),
        )
        monkeypatch.setattr("daep_deepinv.blind.varying.refined_blur", lambda _, found, *__: found.blur)
        return kernel

    return use


def test_a_camera_that_explains_the_photograph_better_than_one_kernel_is_taken(camera, blurred):
    kernel = camera((0.02, 0.0199), 0.93, 0.6, blur(ACROSS))
    model = BlindDAEP(size=7, varying=True)
    model(blurred)
    assert model.kernel[0] is kernel and model.confidence == [0.93] and kernel.error == 0.01


@pytest.mark.parametrize(
    ("misfit", "confidence", "share"),
    [(0.021, 0.93, 0.6), (0.015, 0.6, 0.6), (0.015, 0.93, 0.3)],
    ids=["no better", "unsure", "other variation"],
)
def test_otherwise_each_region_has_a_kernel(camera, blurred, misfit, confidence, share):
    camera((0.02, misfit, 0.018), confidence, share, *[blur(ACROSS)] * 4)
    model = BlindDAEP(size=7, varying=True)
    model(blurred)
    assert model.kernel[0].kernels.shape[:2] == (1, 3) and model.confidence == [pytest.approx(0.97)]


@pytest.mark.parametrize("share", [0.6, 0.3])
def test_poses_are_sought_where_the_whole_looks_sharp_and_its_regions_are_blurred(camera, blurred, share):
    sharp = blur(torch.ones(1, 1), 0.99, "sharp")
    kernel = camera((0.02, 0.0199), 0.93, share, sharp, *[blur(ACROSS)] * 3)
    model = BlindDAEP(size=7, varying=True)
    model(blurred)
    assert (model.kernel[0] is kernel) is (share >= 0.5)
    assert model.kernel[0].kernels.shape[:2] == (1, 3)


def test_regions_that_explain_it_worse_than_one_kernel_are_not_taken_and_it_is_said(camera, blurred):
    camera((0.02, 0.03, 0.021), 0.93, 0.6, *[blur(ACROSS)] * 4)  # the whole photograph and three regions
    model = BlindDAEP(size=7, varying=True)
    with pytest.warns(UserWarning, match="one kernel is used for the whole photograph: the kernels of the regions"):
        model(blurred)
    assert model.kernel[0].kernels.shape[:2] == (1, 1)


def test_two_starts_of_a_camera_are_compared_and_the_better_is_taken(monkeypatch):
    asked = []

    def shake(y, denoise, settings, counts, seed, follow):
        asked.append((settings.factor, seed))
        kernels = (ACROSS if len(asked) == 1 else DOWN).expand(*counts, 7, 7)
        follow(1.0, 0, kernels[0, 0])
        return CameraShake(kernels, torch.zeros(7, 7, 7))

    monkeypatch.setattr("daep_deepinv.blind.varying_camera.camera_shake", shake)
    judge = Judge(torch.rand(1, 3, 160, 170), 7, as_blind_prior("dae"))
    judge.misfit = lambda kernels: 0.01 if torch.equal(kernels[0, 0], DOWN) else 0.02
    begun = []
    found, misfit, share, shakes = camera_blur(judge, 5, 3, lambda *what: begun.append(what[0]))
    assert torch.equal(found.kernel.kernels[2, 2], DOWN) and misfit == 0.01 and begun == [0, 1] and share < 0.01
    assert len(shakes) == 2
    assert found.confidence < 0.7 and not found.kernel.trusted.any()
    assert asked[0][0] != asked[1][0] and [seed for _, seed in asked] == [3, 4]


@pytest.mark.parametrize(("misfit", "taken"), [(0.0103, True), (0.0106, False)])
def test_the_mean_of_refined_starts_is_taken_unless_it_explains_the_photograph_worse(monkeypatch, misfit, taken):
    windows = Windows((160, 170), 7, (7, 7))
    middle, asked = one_pose(7), []

    def refined(y, denoise, shake, settings, seed, follow):
        asked.append(seed)
        return shake_of((middle + middle.roll(len(asked) % 2, 2)) / 2, windows)

    monkeypatch.setattr("daep_deepinv.blind.varying_camera.refined_shake", refined)
    judge = Judge(torch.rand(1, 3, 160, 170), 7, as_blind_prior("dae"))
    judge.misfit = lambda kernels: misfit
    still = shake_of(middle, windows)
    kernel = VaryingKernel(still.kernels, torch.ones(7, 7, dtype=torch.bool), (160, 170), 0.01)
    camera = CameraBlur(VaryingBlur(kernel, 0.93, "found"), 0.01, 0.7, [still, still])
    blur = refined_blur(judge, camera, 5)
    assert asked == [5, 6] and blur.confidence == 0.93 and blur.kernel.error == 0.01
    assert torch.equal(blur.kernel.kernels, still.kernels) is not taken


def test_the_share_of_the_variation_that_is_repeated():
    kernels = torch.stack([ACROSS, BENT[1:8, 1:8], DOWN]).view(1, 3, 7, 7)
    assert repeated(kernels, kernels) == pytest.approx(1, abs=1e-4)
    assert repeated(kernels, kernels.flip(1)) < 0.1


def test_poses_are_sought_in_photographs_of_their_size_only():
    assert suits(torch.zeros(1, 1, 160, 640))
    assert not suits(torch.zeros(1, 1, 150, 200)) and not suits(torch.zeros(1, 1, 400, 641))
