"""``daep restore`` on one image: all four tasks for real, and every bad option refused before anything is computed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daep_cli.jobs import job as job_module
from daep_cli.jobs.job import Job
from daep_cli.jobs.one_image import cleaned
from daep_cli.jobs.restore_options import Options
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo
from daep_deepinv import DAEP, Plan, degradation
from daep_prior import ConvDAE, save_dae


@pytest.fixture
def quick(weights: Path) -> list[str]:
    """Options for a run of a few milliseconds."""
    return ["--denoiser", str(weights), "--iterations", "2"]


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A 3 x 5 kernel."""
    path = tmp_path / "kernel.png"
    Image.fromarray(np.full((3, 5), 200, np.uint8)).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A mask for the photo of 32 x 24 pixels, with a hole."""
    known = np.full((24, 32), 255, np.uint8)
    known[8:12, 8:16] = 0
    path = tmp_path / "mask.png"
    Image.fromarray(known).save(path)
    return path


@pytest.fixture
def tasks(kernel: Path, mask: Path) -> dict[str, list[str]]:
    """The options of each task."""
    return {
        "denoised": ["--noise", "25"],
        "deblurred": ["--kernel", str(kernel), "--noise", "2.55"],
        "enlarged 3 times": ["--scale", "3"],
        "inpainted": ["--mask", str(mask)],
    }


TASKS = ["denoised", "deblurred", "enlarged 3 times", "inpainted"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("preset", [None, "fast", "best", "paper"])
def test_each_task_writes_an_image_of_the_right_size(daep, photo, tmp_path, quick, tasks, task, preset) -> None:
    out = tmp_path / "out.png"
    extra = [] if preset is None else ["--preset", preset]
    outcome = daep("restore", photo, "-o", out, *tasks[task], *quick, *extra)
    assert (outcome.status, outcome.err) == (0, "")
    factor = 3 if "enlarged" in task else 1
    assert read_photo(out).size == (32 * factor, 24 * factor)
    for word in (str(out), task, f"{32 * factor} x {24 * factor}", "2 iterations", preset or "annealed"):
        assert word in outcome.out


def test_one_iteration_is_in_the_singular(daep, photo, tmp_path, weights) -> None:
    options = ["--noise", 5, "--denoiser", weights, "--iterations", 1]
    assert "(denoised, 1 iteration, preset" in daep("restore", photo, "-o", tmp_path / "out.png", *options).out


@pytest.mark.parametrize("task", TASKS)
def test_grey_16_bit_images_with_transparency_keep_all_of_it(daep, scene, tmp_path, quick, tasks, task) -> None:
    pixels = scene(24, 32, 2, np.uint16)
    source, out = tmp_path / "in.tif", tmp_path / "out.png"
    write_photo(Photo(pixels[..., :1], pixels[..., 1], b"profile"), source)
    assert daep("restore", source, "-o", out, *tasks[task], *quick).status == 0
    back = read_photo(out)
    assert back.colour.dtype == np.uint16
    assert back.colour.shape[2] == 1
    assert len(np.unique(back.colour % 257)) > 50  # more than 8 bits in a wider type
    if "enlarged" in task:
        assert back.alpha.shape == (72, 96)
        assert np.abs(back.alpha[1::3, 1::3].astype(int) - pixels[..., 1]).max() < 4000
    else:
        np.testing.assert_array_equal(back.alpha, pixels[..., 1])


def test_16_bit_input_becomes_8_bit_in_a_jpeg(daep, scene, tmp_path, quick) -> None:
    write_photo(Photo(scene(dtype=np.uint16)), tmp_path / "in.png")
    assert daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.jpg", "--noise", 5, *quick).status == 0
    assert read_photo(tmp_path / "out.jpg").colour.dtype == np.uint8


@pytest.mark.parametrize("size", [(2, 2), (2, 40), (33, 17), (61, 3)])
def test_odd_sizes_just_work(daep, scene, tmp_path, quick, size) -> None:
    write_photo(Photo(scene(*size)), tmp_path / "in.png")
    for name, options in {"n.png": ["--noise", 5], "s.png": ["--scale", 2]}.items():
        outcome = daep("restore", tmp_path / "in.png", "-o", tmp_path / name, *options, *quick)
        assert outcome.status == 0, outcome.err


def test_tiles_give_the_same_picture(daep, photo, tmp_path, quick) -> None:
    for name, tile in (("whole.png", ()), ("tiles.png", ("--tile", 16))):
        assert daep("restore", photo, "-o", tmp_path / name, "--noise", 25, *tile, *quick).status == 0
    whole, tiled = (np.asarray(Image.open(tmp_path / name)).astype(int) for name in ("whole.png", "tiles.png"))
    assert min(whole.shape[:2]) > 16
    assert abs(whole - tiled).max() <= 1


def test_the_same_seed_gives_the_same_file_and_another_seed_another(daep, photo, tmp_path, quick) -> None:
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        assert daep("restore", photo, "-o", tmp_path / name, "--noise", 25, "--seed", seed, *quick).status == 0
    a, b, c = ((tmp_path / f"{n}.png").read_bytes() for n in "abc")
    assert a == b != c


def test_deblurring_undoes_the_shift_of_an_eccentric_kernel(daep, scene, tmp_path, weights) -> None:
    """All of the kernel's mass off centre: a flipped or transposed kernel would double or turn the shift."""
    true = scene(40, 48)
    kernel = np.zeros((7, 9))
    kernel[1, 6] = 1  # a point of light at (3, 4) lands 2 up and 2 to the right
    shifted = np.roll(true, (-2, 2), (0, 1))
    write_photo(Photo(shifted), tmp_path / "in.png")
    np.save(tmp_path / "k.npy", kernel)
    options = ["--kernel", tmp_path / "k.npy", "--noise", 0.5, "--preset", "annealed", "--iterations", 8]
    assert daep("restore", tmp_path / "in.png", "-o", tmp_path / "o.png", *options, "--denoiser", weights).status == 0
    inside = (slice(4, -4), slice(4, -4))
    restored = read_photo(tmp_path / "o.png").colour[inside].astype(float)
    error = np.abs(restored - true[inside]).mean()
    assert error < 0.3 * np.abs(shifted[inside].astype(float) - true[inside]).mean()


def test_inpainting_keeps_what_is_known_and_ignores_what_stands_in_the_holes(
    daep, scene, tmp_path, mask, quick
) -> None:
    known = read_photo(mask).colour[..., 0] > 127
    results = []
    for name, fill in (("a.png", 0), ("b.png", 255)):
        write_photo(Photo(np.where(known[..., None], scene(), fill).astype(np.uint8)), tmp_path / name)
        out = tmp_path / f"out-{name}"
        options = ["--mask", mask, "--preset", "annealed"]
        assert daep("restore", tmp_path / name, "-o", out, *options, *quick).status == 0
        results.append(read_photo(out).colour)
    np.testing.assert_array_equal(*results)
    assert np.abs(results[0].astype(int) - scene())[known].max() < 12


def write_noisy(picture: np.ndarray, path: Path) -> None:
    """A picture (H, W, C) of half its contrast, with noise of 10, as a file."""
    noisy = 60 + 0.5 * picture + np.random.default_rng(0).normal(0, 10, picture.shape)
    write_photo(Photo(noisy.round().clip(0, 255).astype(np.uint8)), path)


def test_an_estimated_noise_level_is_said_and_used(daep, scene, tmp_path, quick) -> None:
    write_noisy(scene(64, 64), tmp_path / "in.png")
    outcome = daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--noise", "auto", *quick)
    assert (outcome.status, outcome.err) == (0, "")
    said = outcome.out.partition("noise ")[2].partition(" as estimated")[0]
    assert float(said) == pytest.approx(10, rel=0.1)


def test_the_noise_of_a_blurred_jpeg_file_is_found_in_what_jpeg_leaves(daep, scene, tmp_path, quick) -> None:
    """Not in the finest detail, which JPEG leaves without noise, whatever the picture holds."""
    write_noisy(scene(128, 128), tmp_path / "in.jpg")
    options = ["--kernel", "disk:3", "--noise", "auto"]
    outcome = daep("restore", tmp_path / "in.jpg", "-o", tmp_path / "out.png", *options, *quick)
    assert (outcome.status, outcome.err) == (0, "")
    assert 10 < float(outcome.out.partition("noise ")[2].partition(" as estimated")[0]) < 14


def test_more_noise_than_was_said_is_noticed_in_one_line(daep, scene, tmp_path, quick) -> None:
    write_noisy(scene(128, 128), tmp_path / "in.png")
    options = ["--kernel", "disk:3", "--noise", "2"]
    outcome = daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options, *quick)
    assert (outcome.status, outcome.err) == (0, "")
    line = outcome.out
    assert float(line.partition("for noise ")[2].partition(" ")[0]) == pytest.approx(10, rel=0.2)
    assert "instead of 2: white Gaussian (--no-check-noise trusts --noise)" in line
    again = [*options, "--no-check-noise", "--overwrite", *quick]
    assert "instead of" not in daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *again).out


@pytest.mark.parametrize(("noise", "meant"), [("0.01", "2.55"), ("0.1", "25.5"), ("0", None), ("0.2", None)])
def test_a_noise_level_that_looks_like_one_of_images_in_0_to_1_is_remarked_on(
    daep, photo, tmp_path, quick, noise, meant
) -> None:
    outcome = daep("restore", photo, "-o", tmp_path / "out.png", "--scale", 2, "--noise", noise, *quick)
    assert outcome.status == 0
    assert outcome.err == (
        f"daep: --noise {noise} is very little, because white is 255; if it is for images in [0, 1], give {meant}.\n"
        if meant
        else ""
    )


@pytest.mark.parametrize(("free", "pixels"), [(0, 1), (2**14 * 1000, 1000), (2**60, 2**22)])
def test_a_batch_fills_what_is_free_of_a_gpu(free, pixels, monkeypatch) -> None:
    job = Job(Options(noise=0.1))
    job.device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, 2**60))
    assert job.batch_pixels == pixels


# -- explanations ------------------------------------------------------------------------------------------------------


def test_explain_prints_the_plan_and_writes_nothing(daep, photo, tmp_path, kernel, quick, monkeypatch) -> None:
    monkeypatch.setattr(DAEP, "forward", lambda *_, **__: pytest.fail("restored"))
    before = sorted(tmp_path.iterdir())
    options = ["--kernel", kernel, "--noise", "2.55", *quick, "--explain"]
    outcome = daep("restore", photo, *options)
    assert (outcome.status, outcome.err) == (0, "")
    for words in (f"{photo}:\n", "32 x 24 pixels, colour", "2.55/255, white Gaussian", "least squares", "2 iterations"):
        assert words in outcome.out
    assert daep("restore", photo, "-o", tmp_path / "out.png", *options).out == outcome.out
    assert sorted(tmp_path.iterdir()) == before


def test_explain_says_that_the_noise_is_estimated(daep, scene, tmp_path, quick) -> None:
    write_noisy(scene(64, 64), tmp_path / "in.png")
    outcome = daep("restore", tmp_path / "in.png", "--noise", "auto", "--explain", *quick)
    (line,) = (line for line in outcome.out.splitlines() if line.startswith("  noise "))
    assert float(line.split()[1].partition("/")[0]) == pytest.approx(10, rel=0.1)
    assert line.endswith("white Gaussian (estimated)")


def test_explain_of_a_folder_prints_equal_plans_once_and_reports_what_fails(
    daep, photo, scene, tmp_path, quick
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, size in {"a.png": (24, 32), "b.png": (24, 32), "c.png": (20, 20)}.items():
        write_photo(Photo(scene(*size)), folder / name)
    (folder / "d.png").write_text("no image")
    outcome = daep("restore", folder, "--noise", 5, "--explain", *quick)
    assert outcome.status == 2
    assert "d.png: not a readable" in outcome.err and outcome.err.count("\n") == 1
    assert f"{folder / 'b.png'}: as {folder / 'a.png'}\n" in outcome.out
    assert outcome.out.count("preset ") == 2
    assert len(list(folder.iterdir())) == 4


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def nothing_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading weights or restoring would fail the test."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("computed something")

    monkeypatch.setattr(job_module, "read_network", fail)
    monkeypatch.setattr(job_module, "DAEP", fail)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("", "nothing to do; give --noise"),
        ("--noise 0", "nothing to do"),
        ("--noise -1", "--noise -1: expected"),
        ("--noise poisson", "expected poisson:GAIN"),
        ("--noise 5 --white 0", "--white 0: expected a positive number"),
        ("--noise 5 --format int7", "--format int7: expected one of uint8"),
        ("--missing purple", "--missing purple: expected a colour"),
        ("--missing #123456", "no pixel of the image has this colour"),
        ("--noise nan", "--noise nan: expected"),
        ("--noise inf", "--noise inf: expected"),
        ("--noise 256", "from 0 to 255"),
        ("--noise abc", "--noise abc: expected a standard deviation from 0 to 255"),
        ("--scale 1", "--scale"),
        ("--scale -3", "--scale"),
        ("--scale 9", "--scale"),
        ("--scale 2.5", "--scale"),
        ("--kernel {kernel}", "needs --noise"),
        ("--kernel blnd", "--kernel blnd: no such file, and no shape such as motion:15:30"),
        ("--kernel {kernel} --noise 2 --scale 2", "--kernel and --scale do not work together"),
        ("--noise 5 --kernel {kernel} --white -3", "--white -3: expected"),
        ("--kernel {dir}/none.png --noise 2", "none.png: no such file"),
        ("--kernel {dir}/large.png --noise 2", "33 x 3, larger than the image of 32 x 24"),
        ("--kernel {dir}/black.png --noise 2", "sum to 0"),
        ("--kernel {dir}/nan.npy --noise 2", "NaN"),
        ("--kernel {dir}/text.png --noise 2", "--kernel {dir}/text.png: not a readable"),
        ("--mask {dir}/none.png", "--mask {dir}/none.png: no such file"),
        ("--mask {dir}/black.png", "no pixel is white"),
        ("--mask {dir}/other.png", "33 x 3 pixels, but the image has 32 x 24"),
        ("--mask {dir}/text.png", "--mask {dir}/text.png: not a readable"),
        ("--noise 5 --iterations 0", "--iterations"),
        ("--noise 5 --seed -1", "--seed -1"),
        ("--noise 5 --tile 0", "--tile 0"),
        ("--noise 5 --preset none", "--preset none: expected one of"),
        ("--noise 5 --device toaster", "--device toaster"),
        ("--noise 5 --device meta", "--device meta"),
        ("--noise 5 --unknown", "--unknown"),
    ],
)
def test_bad_options_are_one_line_and_status_2_before_anything_is_computed(
    refused, nothing_computed, photo, tmp_path, kernel, mask, options, reason
) -> None:
    Image.new("L", (33, 3), 255).save(tmp_path / "large.png")
    Image.fromarray(np.eye(3, 33, dtype=np.uint8)).save(tmp_path / "other.png")
    Image.new("L", (32, 24), 0).save(tmp_path / "black.png")
    np.save(tmp_path / "nan.npy", np.full((3, 3), np.nan))
    (tmp_path / "text.png").write_text("no image\n")
    arguments = options.format(kernel=kernel, mask=mask, dir=tmp_path).split()
    assert reason.format(dir=tmp_path) in refused("restore", photo, "-o", tmp_path / "out.png", *arguments)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("source", "output", "reason"),
    [
        ("none.png", "out.png", "none.png"),
        ("text.png", "out.png", "text.png: not a readable"),
        ("cut.png", "out.png", "cut.png: not a readable"),
        ("in.png", "in.png", "is also an input"),
        ("in.png", "mask.png", "is also an input"),
        ("in.png", "there.png", "exists already; give --overwrite"),
        ("in.png", "out.gif", "cannot write this format"),
        ("in.png", "out", "cannot write this format"),
        ("in.png", "none/out.png", "none does not exist; create it first"),
        ("in.png", "folder.png", "folder.png: is a folder; give the name of a file, such as {dir}/folder.png/in.png."),
        ("in.png", "new/", "/new: cannot write this format; use a name that ends in .fit, .fits, .fts, .jpeg, "),
        ("photo.bmp", "new/", "(in a folder, {dir}/new/photo.png)."),
        ("clear.png", "out.jpg", "JPEG cannot store the transparency"),
        ("a\n\x1b[31mb.png", "out.png", "[31mb.png"),
    ],
)
def test_bad_files_are_one_line_and_status_2_before_anything_is_computed(
    refused, nothing_computed, photo, tmp_path, mask, source, output, reason
) -> None:
    (tmp_path / "text.png").write_text("no image\n")
    (tmp_path / "cut.png").write_bytes(photo.read_bytes()[:-60])
    (tmp_path / "there.png").write_bytes(b"mine")
    (tmp_path / "folder.png").mkdir()
    Image.new("RGBA", (32, 24)).save(tmp_path / "clear.png")
    Image.new("RGB", (32, 24)).save(tmp_path / "photo.bmp")
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    line = refused("restore", tmp_path / source, "-o", f"{tmp_path}/{output}", "--mask", mask)
    assert "\x1b" not in line
    assert reason.format(dir=tmp_path) in line
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_an_input_survives_even_overwrite(refused, photo, mask) -> None:
    for output in (photo, mask):
        before = output.read_bytes()
        refused("restore", photo, "-o", output, "--mask", mask, "--overwrite")
        assert output.read_bytes() == before


@pytest.mark.parametrize("damage", ["cut", "text", "pickle", "missing", "name", "folder"])
def test_unusable_weights_are_one_line(refused, photo, tmp_path, weights, damage) -> None:
    path = tmp_path / ("w.pt" if damage == "pickle" else "w.safetensors")
    if damage == "cut":
        path.write_bytes(weights.read_bytes()[:-10])
    elif damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(b"\x80\x04hostile")
    name = "no-such-network" if damage == "name" else path
    line = refused("restore", photo, "-o", tmp_path / "out.png", "--noise", 5, "--denoiser", name)
    assert f"--denoiser {name}: " in line
    assert not (tmp_path / "out.png").exists()


def test_denoising_one_pixel_works_and_enlarging_it_is_refused(daep, refused, tmp_path, quick) -> None:
    Image.new("L", (1, 1), 99).save(tmp_path / "in.png")
    assert daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--noise", 5, *quick).status == 0
    assert "at least 2 x 2" in refused("restore", tmp_path / "in.png", "-o", tmp_path / "o.png", "--scale", 2)


def test_results_too_large_to_be_read_again_are_refused(refused, photo, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(job_module, "MAX_PIXELS", 32 * 24 * 63)
    assert "256 x 192 pixels is too large" in refused("restore", photo, "-o", tmp_path / "o.png", "--scale", 8)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (FloatingPointError("the iteration diverged."), "the iteration diverged."),
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), "not enough memory"),
    ],
)
def test_failures_during_the_run_are_one_line_and_leave_no_file(
    refused, photo, tmp_path, monkeypatch, error, message
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Job, "run", fail)
    assert message in refused("restore", photo, "-o", tmp_path / "out.png", "--noise", 5)
    assert not (tmp_path / "out.png").exists()


def test_a_network_that_makes_the_solver_diverge_is_one_line(refused, photo, tmp_path) -> None:
    wild = ConvDAE(depth=2, width=4)
    with torch.no_grad():
        for parameter in wild.parameters():
            parameter.fill_(1e25)
    save_dae(wild, tmp_path / "wild.safetensors")
    line = refused(
        "restore", photo, "-o", tmp_path / "o.png", "--noise", 5, "--denoiser", tmp_path / "wild.safetensors"
    )
    assert "the restoration diverged; check --noise and the kernel, or try another --preset" in line
    assert not (tmp_path / "o.png").exists()


def test_a_full_disk_leaves_the_old_result(refused, photo, tmp_path, quick, monkeypatch) -> None:
    out = tmp_path / "out.png"
    out.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device", str(out))

    monkeypatch.setattr(os, "fsync", fail)
    line = refused("restore", photo, "-o", out, "--noise", 5, "--overwrite", *quick)
    assert "out.png: No space left on device" in line
    assert out.read_bytes() == b"old"
    assert not list(tmp_path.glob(".daep*"))


def test_ctrl_c_before_there_is_an_image_saves_none(daep, photo, tmp_path, quick, monkeypatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(DAEP, "forward", interrupt)
    outcome = daep("restore", photo, "-o", tmp_path / "out.png", "--noise", 5, *quick)
    assert (outcome.status, outcome.err) == (130, "daep: interrupted\n")
    assert list(tmp_path.iterdir()) == [photo]


def interrupting(after: int):
    """``DAEP.forward`` that is interrupted after some iterations."""
    original = DAEP.forward

    def forward(model: DAEP, *arguments: object, callback, **options: object) -> torch.Tensor:
        def follow(plan: Plan, iteration: int, image: torch.Tensor) -> None:
            callback(plan, iteration, image)
            if iteration + 1 == after:
                raise KeyboardInterrupt

        return original(model, *arguments, callback=follow, **options)

    return forward


@pytest.mark.parametrize("task", TASKS)
def test_ctrl_c_saves_the_latest_image_and_says_so(daep, photo, tmp_path, tasks, weights, task) -> None:
    after = 3
    out, whole = tmp_path / "out.png", tmp_path / "whole.png"
    options = [*tasks[task], "--denoiser", weights]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DAEP, "forward", interrupting(after))
        command = ("restore", photo, "-o", out, *options, "--iterations", 10)
        outcome, again = daep(*command), daep(*command, "--overwrite")
    assert outcome.status == 130
    line = f"daep: interrupted after 3 of 10 iterations; {out} contains that iterate"
    assert (outcome.err, again.err) == (f"{line}; give --overwrite to start again.\n", f"{line}.\n")
    # a network for one level has a constant schedule, so this is the image of a short run, except for its mean
    assert daep("restore", photo, "-o", whole, *options, "--iterations", after).status == 0
    a, b = (read_photo(path).colour.astype(float) for path in (out, whole))
    assert a.shape == b.shape
    assert np.abs(a - b).mean() < 3


def test_a_grey_photograph_in_three_channels_keeps_them_when_it_is_interrupted(daep, scene, tmp_path, weights) -> None:
    write_photo(Photo(scene(24, 32, 1).repeat(3, axis=2)), tmp_path / "in.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DAEP, "forward", interrupting(2))
        options = ["--kernel", "disk:2", "--noise", 5, "--denoiser", weights, "--iterations", 4]
        assert daep("restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options).status == 130
    assert read_photo(tmp_path / "out.png").colour.shape == (24, 32, 3)


def test_an_iterate_is_freed_of_the_noise_of_the_prior(scene) -> None:
    clean = torch.from_numpy(scene(48, 48)).permute(2, 0, 1)[None] / 255
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    errors: dict[str, float] = {}

    def compare(plan: Plan, iteration: int, image: torch.Tensor) -> None:
        if iteration == 3:  # a gradient step
            for name, x in (("iterate", image), ("cleaned", cleaned(image, plan, iteration, model.prior))):
                errors[name] = float((x - clean).square().mean())

    model = DAEP(0.1, max_iter=6)
    model(noisy, degradation(None, 1, 0.1), callback=compare)
    assert errors["cleaned"] < 0.7 * errors["iterate"]


def test_ctrl_c_from_the_keyboard_ends_a_long_run(photo, tmp_path, weights, environment) -> None:
    program = """if True:
        import sys
        from daep_cli.jobs import one_image
        from daep_cli.main import main
        def loud(total, text):
            calls = []
            def bar(**_):
                calls.append(None)
                if len(calls) == 5:
                    print("running", flush=True)
            return contextlib.nullcontext(bar)
        import contextlib
        one_image.progress_bar = loud
        sys.exit(main())
    """
    out = tmp_path / "out.png"
    command = ["restore", photo, "-o", out, "--noise", "9", "--denoiser", weights]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, command), "--iterations", "100000"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background is told to ignore Ctrl-C, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err.startswith("daep: interrupted after ")
    assert err.count("\n") == 1
    assert read_photo(out).size == (32, 24)
    assert not list(tmp_path.glob(".daep*"))
