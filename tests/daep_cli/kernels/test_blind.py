"""The kernel of ``blind`` and ``blind:PHOTO``. The estimate itself is tested with ``daep_deepinv``."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from daep_cli.jobs.job import Job
from daep_cli.jobs.progress import blur_bar
from daep_cli.jobs.restore_options import Options
from daep_cli.kernels.reading import is_image, kernel_path, read_kernel
from daep_deepinv import DAEPrior
from daep_deepinv.blind.prior import as_blind_prior
from daep_deepinv.blind.restoration import deblurred
from daep_prior import UNetDAE, save_dae
from daep_prior.blind import FoundBlur

#: A horizontal motion over three pixels.
MOTION = torch.tensor([[0.0, 0, 0], [1, 1, 1], [0, 0, 0]]) / 3


@pytest.fixture
def found(monkeypatch):
    """``found(kernel)``: every photograph has that kernel; the photographs, sizes and seeds that were asked for."""
    asked = []

    def use(kernel, verdict="found", confidence=0.97):
        def blurs(y, size, prior, starts, seed, follow=None, whole=True):
            asked.append((y, size, seed))
            if follow is not None:
                follow(0, 0.5, 2, kernel)
            return [FoundBlur(kernel, confidence, verdict, [])]

        monkeypatch.setattr("daep_deepinv.blind.kernels.found_blurs", blurs)
        monkeypatch.setattr("daep_deepinv.blind.varying.found_blurs", blurs)
        return asked

    return use


@pytest.fixture(scope="module")
def any_level(tmp_path_factory):
    """An untrained network for any noise level."""
    path = tmp_path_factory.mktemp("weights") / "unet.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_dae(UNetDAE(widths=(4, 8), blocks=1), path)
    return path


def test_the_name_of_a_photograph_is_its_file_and_blind_alone_has_none():
    assert kernel_path("blind:night.jpg") == Path("night.jpg")
    assert kernel_path("blind") is None and not is_image("blind")


@pytest.fixture
def photo(tmp_path, scene):
    """An RGB PNG of 48 x 40 pixels."""
    Image.fromarray(scene(40, 48)).save(tmp_path / "in.png")
    return tmp_path / "in.png"


@pytest.fixture
def sharpened(daep, photo, tmp_path, any_level):
    """``sharpened(*options)``: ``daep restore --kernel blind`` of the photograph."""
    command = ["restore", photo, "-o", tmp_path / "out.png", "--kernel", "blind", "--denoiser", any_level]
    return lambda *options: daep(*command, "--iterations", "2", *options)


def pixels(path):
    return np.array(Image.open(path))


def test_the_kernel_of_a_photograph_is_estimated_in_the_range_of_zero_to_one(found, photo):
    asked = found(MOTION)
    assert np.allclose(read_kernel(f"blind:{photo}", 15), MOTION.numpy())
    ((y, size, _),) = asked
    assert y.shape == (1, 3, 40, 48) and float(y.min()) >= 0 and float(y.max()) <= 1 and size == 15


def test_daep_kernel_draws_and_writes_it(found, photo, daep, tmp_path):
    asked = found(MOTION)
    outcome = daep("kernel", f"blind:{photo}", "-o", tmp_path / "psf.npy", "--size", 15)
    assert outcome.status == 0 and "@@" in outcome.out
    assert np.allclose(np.load(tmp_path / "psf.npy"), MOTION.numpy())
    assert asked[0][1] == 15


def test_daep_restore_deblurs_with_the_kernel_of_the_photograph(found, photo, sharpened, tmp_path):
    asked = found(MOTION)
    outcome = sharpened("--noise", "2.55", "--seed", "7", "--kernel-size", 9)
    assert outcome.status == 0
    assert "deblurred, blur found, kernel of 3 x 3 pixels, confidence 0.97" in outcome.out
    assert [asked[0][1:]] == [(9, 7)]
    assert not np.array_equal(pixels(tmp_path / "out.png"), pixels(photo))


def test_the_size_of_a_kernel_of_another_photograph_can_be_given(found, photo, daep, tmp_path, any_level):
    asked = found(MOTION)
    command = ["restore", photo, "-o", tmp_path / "out.png", "--kernel", f"blind:{photo}", "--noise", "2.55"]
    outcome = daep(*command, "--denoiser", any_level, "--iterations", "2", "--kernel-size", 9)
    assert outcome.status == 0 and asked[0][1] == 9


def test_the_size_of_a_kernel_is_for_one_that_is_found(refused, photo, tmp_path):
    command = ["restore", photo, "-o", tmp_path / "out.png", "--kernel", "disk:2", "--noise", "2.55"]
    assert "give --kernel blind or blind:PHOTO" in refused(*command, "--kernel-size", 9)


@pytest.mark.parametrize("option", ["--kernel-out=psf.npy", "--varying"])
def test_what_is_written_or_varies_is_the_kernel_of_the_photograph_itself(refused, photo, tmp_path, option):
    command = ["restore", photo, "-o", tmp_path / "out.png", "--kernel", f"blind:{photo}", "--noise", "2.55"]
    name = option.partition("=")[0]
    assert f"{name}: is for a kernel that is found in the photograph; give --kernel blind" in refused(*command, option)


def test_an_unknown_blur_has_a_network_for_all_noise_levels_whatever_the_preset():
    job = Job(Options("auto", kernel="blind", preset="paper"))
    assert as_blind_prior(job.network).denoiser is job.network  # a network for one level is refused


def test_the_time_of_an_image_in_a_folder_has_the_search_for_its_blur(
    found, photo, daep, tmp_path, any_level, monkeypatch
):
    found(MOTION)
    ticks = itertools.count(0, 7)
    clock = SimpleNamespace(perf_counter=lambda: next(ticks))
    monkeypatch.setattr("daep_cli.jobs.folder.time", clock)
    command = ["restore", photo.parent, "-o", tmp_path / "out", "--kernel", "blind", "--denoiser", any_level]
    outcome = daep(*command, "--iterations", "2")
    assert outcome.status == 0, outcome.err
    seconds = float(outcome.out.split("pixels in ")[1].split(" s")[0])
    assert seconds == 14  # a tick for the search, and one for the restoration


def test_a_warning_of_a_kernel_names_its_photograph(photo, daep):
    Image.fromarray(np.random.default_rng(0).integers(100, 110, (64, 64), np.uint8)).save(photo)
    outcome = daep("kernel", f"blind:{photo}")
    assert outcome.status == 0
    assert "in.png: its blur is not found: it has no texture" in outcome.err


def test_a_refused_photograph_is_named(refused, daep, tmp_path, scene):
    folder = tmp_path / "in"
    folder.mkdir()
    small = folder / "small.png"
    Image.fromarray(scene(20, 24)).save(small)
    reason = "got 24 x 20 pixels; expected at least 32 x 32.\n"
    out = tmp_path / "out.png"
    assert refused("restore", small, "-o", out, "--kernel", "blind") == f"daep: error: small.png: {reason}"
    assert refused("kernel", f"blind:{small}", "-o", out) == f"daep: error: blind:{small}: {reason}"
    of_another = refused("restore", small, "-o", out, "--kernel", f"blind:{small}", "--noise", 3)
    assert of_another == f"daep: error: --kernel blind:{small}: {reason}"
    outcome = daep("restore", folder, "-o", tmp_path / "out", "--kernel", "blind")
    assert f"daep: error: {small}: {reason}" in outcome.err and outcome.status == 2


@pytest.mark.parametrize("name", ["blind", "Blind", "BLIND"])
def test_blind_is_understood_in_any_case(found, photo, daep, tmp_path, any_level, name):
    found(MOTION)
    outcome = daep("restore", photo, "--kernel", name, "--denoiser", any_level, "--explain")
    assert outcome.status == 0 and "blur found" in outcome.out and "fast" in outcome.out


def test_the_kernel_is_sought_with_missing_pixels_filled_in(found, photo, sharpened, tmp_path):
    asked = found(MOTION)
    hole = np.full((40, 48), 255, np.uint8)
    hole[10:20, 10:20] = 0
    Image.fromarray(hole).save(tmp_path / "mask.png")
    damaged = pixels(photo).copy()
    damaged[10:20, 10:20] = (255, 0, 255)
    Image.fromarray(damaged).save(photo)
    done = sharpened("--mask", tmp_path / "mask.png")
    assert "sought with the missing pixels filled in" in done.out
    y = 255 * asked[-1][0][0].permute(1, 2, 0).numpy()
    around = damaged[6:24, 6:24][np.pad(np.zeros((10, 10), bool), 4, constant_values=True)]
    assert around.min() <= y[10:20, 10:20].min() and y[10:20, 10:20].max() <= around.max()
    assert np.allclose(np.delete(y, range(10, 20), 0), np.delete(damaged, range(10, 20), 0))


def test_missing_pixels_of_another_photograph_are_filled_in(found, tmp_path, capsys):
    asked = found(MOTION)
    values = np.full((40, 48), 0.5, np.float32)
    values[10:20, 10:20] = np.nan
    tifffile.imwrite(tmp_path / "gap.tif", values)
    read_kernel(f"blind:{tmp_path / 'gap.tif'}")
    assert "sought with the missing pixels filled in" in capsys.readouterr().err
    assert torch.allclose(asked[-1][0], torch.tensor(0.5), atol=1e-6)


def test_the_command_line_gives_the_image_of_the_reconstructor(found, photo, daep, tmp_path, any_level):
    found(MOTION)
    command = ["restore", photo, "-o", tmp_path / "out.png", "--kernel", "blind", "--denoiser", any_level]
    assert daep(*command).status == 0
    y = torch.from_numpy(pixels(photo)).permute(2, 0, 1)[None] / 255
    x = deblurred(y, MOTION, None, "fast", DAEPrior(any_level).denoiser)
    expected = (255 * x[0].permute(1, 2, 0)).round().clamp(0, 255).to(torch.uint8).numpy()
    assert np.abs(pixels(tmp_path / "out.png").astype(int) - expected).max() <= 1


def test_a_sharp_photograph_stays_as_it_is(found, photo, sharpened, tmp_path):
    found(torch.ones(1, 1), "sharp")
    outcome = sharpened()
    assert outcome.status == 0 and "(unchanged: the photograph is sharp, and stays as it is)" in outcome.out
    assert np.array_equal(pixels(tmp_path / "out.png"), pixels(photo))


def test_the_kernel_is_written_beside_the_result(found, sharpened, tmp_path):
    found(MOTION)
    assert sharpened("--kernel-out", tmp_path / "psf.png").status == 0
    assert np.allclose(read_kernel(str(tmp_path / "psf.png")), MOTION.numpy(), atol=1e-4)
    assert sharpened("--overwrite", "--kernel-out", tmp_path / "psf.tif").status == 0
    values = tifffile.imread(tmp_path / "psf.tif")
    assert values.dtype == np.float32 and np.allclose(values, MOTION.numpy())


def test_kernels_that_vary_are_written_side_by_side_and_restore_the_photograph(found, sharpened, tmp_path, monkeypatch):
    monkeypatch.setattr("daep_deepinv.blind.varying.LEAST_SIDE", 24)
    monkeypatch.setattr("daep_deepinv.blind.varying.SIDES_PER_KERNEL", 1)
    found(MOTION)
    outcome = sharpened("--varying", "--kernel-out", tmp_path / "psf.tif")
    assert outcome.status == 0 and "blur found in 6 of 6 regions" in outcome.out
    assert tifffile.imread(tmp_path / "psf.tif").shape == (6, 9)


def test_a_kernel_of_one_pixel_is_written_with_its_reason(found, sharpened, tmp_path):
    found(torch.ones(1, 1), "not found")
    outcome = sharpened("--kernel-out", tmp_path / "psf.png")
    assert outcome.status == 0
    assert "psf.png: contains a kernel of one pixel, which blurs nothing: the blur is not found" in outcome.err


def test_a_plan_of_a_photograph_that_stays_as_it_is_has_no_noise(found, sharpened):
    found(torch.ones(1, 1), "not found")
    out = sharpened("--explain").out
    assert "blur   the blur is not found, the photograph stays as it is" in out and "noise" not in out


def test_explain_says_what_is_found_and_assumed(found, sharpened):
    found(MOTION)
    out = sharpened("--explain").out
    assert "(estimated)" in out and "given" not in out
    assert "blur       blur found, kernel of 3 x 3 pixels, confidence 0.97" in out
    assert "assumed: one blur over the whole image, of the values of the file" in out


def test_the_bar_shows_start_scale_and_round(monkeypatch):
    shown = []

    @contextmanager
    def bar(total, text=""):
        yield lambda **change: shown.append(change["description"])

    monkeypatch.setattr("daep_cli.jobs.progress.progress_bar", bar)
    with blur_bar("in.png") as follow:
        follow(0, 0.5, 2, MOTION)
        follow(1, 1.0, 0, MOTION)
    assert shown == ["in.png: blur, start 1, scale 1/2, round 3", "in.png: blur, start 2, full scale, round 1"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--kernel", "disk:2", "--noise", 5, "--kernel-out", "psf.png"], "give --kernel blind"),
        (["--noise", 5, "--varying"], "give --kernel blind"),
        (["--kernel", "blind", "--kernel-out", "psf.jpg"], "cannot write this format"),
        (["--kernel", "blind", "--kernel-out", "out.png"], "choose another name"),
        (["--kernel", "blind", "--kernel-size", 21], "expected at most 13"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_sentence(refused, photo, monkeypatch, options, words):
    monkeypatch.chdir(photo.parent)
    assert words in refused("restore", "in.png", "-o", "out.png", *options)


def test_many_images_have_no_one_kernel_file(refused, photo, tmp_path):
    options = ["--kernel", "blind", "--kernel-out", tmp_path / "psf.png"]
    assert "each image has a kernel" in refused("restore", tmp_path, "-o", tmp_path / "out", *options)
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.zeros((2, 40, 48), np.uint8) + 9)
    assert "each page has a kernel" in refused("restore", stack, "-o", tmp_path / "out.tif", *options)


def test_a_comparison_has_no_blind_kernel(photo, refused, tmp_path):
    message = refused("compare", photo, "-o", tmp_path / "out", "--kernel", "blind", "--noise", "2.55")
    assert "--kernel blind" in message
