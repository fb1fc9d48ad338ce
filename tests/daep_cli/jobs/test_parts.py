"""Stacks page by page and large images block by block: in order, resumed after an interruption, as if alone."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tifffile

from daep_cli.jobs import one_image, parts
from daep_cli.jobs.job import Job
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import write_photo

PAGES = 5


@pytest.fixture
def stack(tmp_path: Path, scene) -> Path:
    """Five grey pages of 12 bits, each darker than the one before."""
    pages = np.stack([scene(20, 24, 1, np.uint16)[..., 0] // (16 * (i + 1)) for i in range(PAGES)])
    tifffile.imwrite(tmp_path / "in.tif", pages, photometric="minisblack", description="five pages", metadata=None)
    return tmp_path / "in.tif"


@pytest.fixture
def options(weights: Path) -> list[object]:
    return ["--noise", 10, "--denoiser", weights, "--iterations", 2]


def test_pages_are_restored_in_order_in_the_range_of_the_file(daep, stack, tmp_path, options) -> None:
    out = tmp_path / "out.tif"
    outcome = daep("restore", stack, "-o", out, *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"{PAGES} pages in " in outcome.out and "white 4095" in outcome.out
    assert "million pixels a second" in outcome.out
    with tifffile.TiffFile(out) as file:
        assert len(file.pages) == PAGES
        assert file.pages[0].description == "five pages"
        restored = np.stack([page.asarray() for page in file.pages])
    before = tifffile.imread(stack)
    assert restored.dtype == np.uint16 and restored.shape == before.shape
    np.testing.assert_allclose(restored.mean((1, 2)), before.mean((1, 2)), rtol=0.2)
    assert not list(tmp_path.glob(".daep*"))


def test_a_page_is_restored_as_if_it_were_alone(daep, stack, tmp_path, options) -> None:
    tifffile.imwrite(tmp_path / "page.tif", tifffile.imread(stack)[2])
    for source, out in ((stack, "out.tif"), (tmp_path / "page.tif", "alone.tif")):
        assert daep("restore", source, "-o", tmp_path / out, *options, "--white", 4095).status == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "alone.tif"), tifffile.imread(tmp_path / "out.tif")[2])


def interrupted_after(count: int):
    """``Parts.write`` that is interrupted when so many parts are done."""
    write, done = parts.Parts.write, []

    def stop(self: parts.Parts, number: int, photo: Photo) -> None:
        if len(done) == count:
            raise KeyboardInterrupt
        done.append(number)
        write(self, number, photo)

    return stop


def test_an_interrupted_stack_is_continued(daep, stack, tmp_path, options, monkeypatch) -> None:
    out, whole = tmp_path / "out.tif", tmp_path / "whole.tif"
    monkeypatch.setattr(parts.Parts, "write", interrupted_after(2))
    outcome = daep("restore", stack, "-o", out, *options)
    assert outcome.status == 130
    assert outcome.err == f"daep: interrupted after 2 of {PAGES} pages; the same command continues from here.\n"
    assert not out.exists()
    monkeypatch.undo()
    run, restored = Job.run, []
    monkeypatch.setattr(Job, "run", lambda job, batch, *more: restored.extend(batch) or run(job, batch, *more))
    assert daep("restore", stack, "-o", out, *options).status == 0
    assert len(restored) == PAGES - 2
    assert daep("restore", stack, "-o", whole, *options).status == 0
    np.testing.assert_array_equal(tifffile.imread(out), tifffile.imread(whole))
    assert not list(tmp_path.glob(".daep*"))


def test_other_options_do_not_continue_a_stack(daep, stack, tmp_path, options, monkeypatch) -> None:
    out = tmp_path / "out.tif"
    monkeypatch.setattr(parts.Parts, "write", interrupted_after(2))
    daep("restore", stack, "-o", out, *options)
    monkeypatch.undo()
    assert daep("restore", stack, "-o", out, *options, "--seed", 1).status == 0
    assert daep("restore", stack, "-o", tmp_path / "b.tif", *options, "--seed", 1).status == 0
    np.testing.assert_array_equal(tifffile.imread(out), tifffile.imread(tmp_path / "b.tif"))
    assert not list(tmp_path.glob(".daep*"))


@pytest.mark.parametrize("mark", ["#f0f", "nan"])
def test_only_some_pages_need_a_pixel_that_is_missing(daep, tmp_path, scene, weights, mark) -> None:
    pages = np.stack([scene(20, 24).astype(np.float32) / 255] * 3)
    pages[1, 5:9, 5:9] = (1, 0, 1) if mark == "#f0f" else np.nan
    tifffile.imwrite(tmp_path / "in.tif", pages, photometric="rgb", metadata=None)
    command = ["restore", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--missing", mark]
    outcome = daep(*command, "--denoiser", weights, "--iterations", 2)
    assert (outcome.status, outcome.err) == (0, "")
    out = np.stack([page.asarray() for page in tifffile.TiffFile(tmp_path / "out.tif").pages])
    changed = [not np.array_equal(a, b) for a, b in zip(out, pages, strict=True)]
    assert changed == [False, True, False]


def test_an_error_before_the_first_page_leaves_nothing(refused, stack, tmp_path, options, scene) -> None:
    for wrong, words in (
        (["--missing", "#123"], "the image is grey"),
        (["--missing", "nan"], "every pixel of the image has a value"),
        (["--noise", "poisson:9000"], "one photon would be more than white"),
    ):
        assert words in refused("restore", stack, "-o", tmp_path / "out.tif", *options, *wrong)
        assert not list(tmp_path.glob(".daep*"))


def test_a_stack_needs_a_format_for_several_images(refused, stack, tmp_path, options) -> None:
    assert "cannot store 5 images; use .tif" in refused("restore", stack, "-o", tmp_path / "out.png", *options)


def test_a_folder_may_contain_stacks(daep, stack, tmp_path, options, scene) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    stack.rename(folder / "stack.tif")
    write_photo(Photo(scene(12, 12)), folder / "a.png")
    outcome = daep("restore", folder, "-o", tmp_path / "out", *options)
    assert (outcome.status, outcome.err) == (0, "")
    assert "2 restored" in outcome.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "stack.tif"]


def test_one_kernel_a_page(daep, stack, tmp_path, weights) -> None:
    """The kernel of a page shifts it by as many pixels as its number."""
    kernels = np.zeros((PAGES, 11, 11))
    for page in range(PAGES):
        kernels[page, 5, 5 + page] = 1
    np.save(tmp_path / "k.npy", kernels)
    command = ["restore", stack, "-o", tmp_path / "out.tif", "--kernel", tmp_path / "k.npy", "--noise", 0.5]
    assert daep(*command, "--preset", "annealed", "--iterations", 6, "--denoiser", weights).status == 0
    before, after = tifffile.imread(stack).astype(float), tifffile.imread(tmp_path / "out.tif").astype(float)
    for page in (0, 3):
        wanted = np.roll(before[page], -page, 1)[5:-5, 5:-6]
        assert (
            np.abs(after[page][5:-5, 5:-6] - wanted).mean()
            < 0.35 * np.abs(before[page] - np.roll(before[page], 3, 1)).mean()
        )


def test_the_plan_of_a_stack_is_that_of_its_first_page(daep, stack, options) -> None:
    outcome = daep("restore", stack, *options, "--explain")
    assert outcome.status == 0, outcome.err
    assert f"pages      {PAGES}" in outcome.out and "24 x 20 pixels, grey" in outcome.out


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_blocks_give_the_image_of_the_whole(daep, scene, tmp_path, monkeypatch, suffix) -> None:
    options = ["--noise", 10, "--preset", "fast"]
    pixels = scene(70, 90, 4)
    write_photo(Photo(pixels[..., :3].copy(), pixels[..., 3].copy(), b"profile"), tmp_path / f"in{suffix}")
    names = [tmp_path / f"{name}{suffix}" for name in ("whole", "blocks")]
    for name in names:
        outcome = daep("restore", tmp_path / f"in{suffix}", "-o", name, *options)
        assert (outcome.status, outcome.err) == (0, "")
        monkeypatch.setattr(one_image, "LARGEST_AT_ONCE", 1000)
        monkeypatch.setattr(parts, "BLOCK", 32)
        monkeypatch.setattr(parts, "SURROUNDINGS", 24)
    assert "9 blocks" in outcome.out
    whole, blocks = (read_photo(name) for name in names)
    difference = np.abs(whole.colour.astype(int) - blocks.colour)
    assert difference.max() <= 4 and difference.mean() < 0.3
    np.testing.assert_array_equal(whole.alpha, blocks.alpha)
    assert blocks.icc == b"profile"
    assert not list(tmp_path.glob(".daep*"))


@pytest.mark.parametrize("task", ["--scale", "--kernel"])
def test_blocks_are_enlarged_and_deblurred(daep, scene, tmp_path, weights, monkeypatch, task) -> None:
    write_photo(Photo(scene(40, 52)), tmp_path / "in.png")
    given = {"--scale": ["--scale", 2], "--kernel": ["--kernel", "disk:2", "--noise", 2]}[task]
    monkeypatch.setattr(one_image, "LARGEST_AT_ONCE", 1000)
    monkeypatch.setattr(parts, "BLOCK", 32)
    command = ["restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *given, "--denoiser", weights]
    outcome = daep(*command, "--iterations", 2)
    assert (outcome.status, outcome.err) == (0, "")
    assert read_photo(tmp_path / "out.png").size == ((104, 80) if task == "--scale" else (52, 40))


@pytest.mark.parametrize("noise", ["2", "auto", "poisson:1"])
def test_all_blocks_are_restored_for_one_noise(daep, scene, tmp_path, weights, monkeypatch, noise) -> None:
    """A given level is compared with the middle of the image alone, and what is found there holds for all."""
    pixels = scene(128, 192) + np.random.default_rng(0).normal(0, 9, (128, 192, 3))
    write_photo(Photo(pixels.clip(0, 255).astype(np.uint8)), tmp_path / "in.png")
    monkeypatch.setattr(one_image, "LARGEST_AT_ONCE", 1000)
    monkeypatch.setattr(parts, "BLOCK", 64)
    seen = []
    run = Job.run

    def watched(job, batch, *rest):
        seen.extend((one.noise, one.checked or noise == "poisson:1") for one in batch)
        return run(job, batch, *rest)

    monkeypatch.setattr(Job, "run", watched)
    command = ["restore", tmp_path / "in.png", "-o", tmp_path / "out.png", "--noise", noise]
    command += [] if noise == "auto" else ["--kernel", "gaussian:2"]
    outcome = daep(*command, "--denoiser", weights, "--iterations", 1)
    assert outcome.status == 0, outcome.err
    assert len(seen) == 6 and len(set(map(repr, seen))) == 1 and seen[0][1]
    if noise == "2":
        assert "instead of 2" in outcome.out and seen[0][0] > 6 / 255


def test_an_interrupted_large_image_is_continued_and_the_bar_follows_the_iterations(
    daep, scene, tmp_path, options, monkeypatch
) -> None:
    steps: list[float] = []

    @contextmanager
    def bar(total, text=""):
        steps.clear()
        yield lambda advance=0.0, **_: steps.append(advance)

    write_photo(Photo(scene(40, 52)), tmp_path / "in.png")
    command = ["restore", tmp_path / "in.png", "-o", tmp_path / "out.png", *options, "--kernel", "disk:2"]
    with monkeypatch.context() as patch:
        for name, value in (("LARGEST_AT_ONCE", 1000), ("BLOCK", 32), ("progress_bar", bar)):
            patch.setattr(one_image if name == "LARGEST_AT_ONCE" else parts, name, value)
        with monkeypatch.context() as stopped:
            stopped.setattr(parts.Parts, "write", interrupted_after(1))
            assert "after 1 of 4 blocks; the same command continues" in daep(*command).err
        run, restored = Job.run, []
        patch.setattr(Job, "run", lambda job, batch, *more: restored.extend(batch) or run(job, batch, *more))
        outcome = daep(*command)
        assert outcome.status == 0, outcome.err
        assert len(restored) == 3 and "4 blocks, " in outcome.out
        assert sum(steps) == pytest.approx(4) and steps.count(1.5) == 2  # three blocks, two iterations
        assert daep(*command[:3], tmp_path / "again.png", *command[4:]).status == 0
    np.testing.assert_array_equal(read_photo(tmp_path / "out.png").colour, read_photo(tmp_path / "again.png").colour)


# -- pages that differ -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".tif", ".fits"])
def test_a_page_without_values_stays_as_it_is(daep, scene, tmp_path, options, suffix) -> None:
    pages = np.stack(4 * [scene(20, 24, 1)[..., 0] / 255]).astype(np.float32)
    pages[1], pages[2, 3, 4] = np.nan, np.nan
    source, out = tmp_path / "in.tif", tmp_path / f"out{suffix}"
    tifffile.imwrite(source, pages, photometric="minisblack", metadata=None)
    assert daep("restore", source, "-o", out, *options).status == 0
    photos = [read_photo(out, page) for page in range(4)]
    assert [photo.missing is not None and photo.missing.all() for photo in photos] == [False, True, False, False]
    assert photos[2].missing is None
    refuse = daep("restore", tmp_path / "one.tif", "-o", out, "--overwrite", *options)
    assert refuse.status == 2
    tifffile.imwrite(tmp_path / "one.tif", pages[1])
    refuse = daep("restore", tmp_path / "one.tif", "-o", out, "--overwrite", *options)
    assert refuse.err == "daep: error: no pixel of the image has a value; all are NaN.\n"


def test_a_block_without_values_stays_as_it_is(daep, scene, tmp_path, weights, monkeypatch) -> None:
    pixels = scene(200, 40, 1)[..., 0].astype(np.float32) / 255
    pixels[:140], pixels[190, 3] = np.nan, np.nan
    tifffile.imwrite(tmp_path / "in.tif", pixels)
    monkeypatch.setattr(one_image, "LARGEST_AT_ONCE", 1000)
    monkeypatch.setattr(parts, "BLOCK", 64)
    monkeypatch.setattr(parts, "SURROUNDINGS", 8)
    command = ["restore", tmp_path / "in.tif", "-o", tmp_path / "out.tif", "--noise", 5, "--denoiser", weights]
    outcome = daep(*command, "--iterations", 1)
    assert outcome.status == 0, outcome.err
    missing = np.isnan(tifffile.imread(tmp_path / "out.tif"))
    assert missing[:128].all() and not missing[128:].any()


def test_pages_of_two_types_have_two_ranges(daep, refused, scene, tmp_path, options) -> None:
    twelve, eight = scene(20, 24, 1, np.uint16)[..., 0] // 16, scene(16, 12)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(twelve, photometric="minisblack", metadata=None)
        file.write(eight, photometric="rgb", metadata=None)
    outcome = daep("restore", tmp_path / "in.tif", "-o", tmp_path / "out.tif", *options)
    assert outcome.status == 0 and "white 4095" in outcome.out
    for page, (pixels, white) in enumerate(((twelve, 4095), (eight, 255))):
        write_photo(Photo(pixels.reshape(*pixels.shape[:2], -1)), tmp_path / "one.tif", overwrite=True)
        command = ["restore", tmp_path / "one.tif", "-o", tmp_path / "alone.tif", *options, "--overwrite"]
        assert daep(*command).status == 0
        together, alone = read_photo(tmp_path / "out.tif", page), read_photo(tmp_path / "alone.tif")
        np.testing.assert_allclose(together.colour, alone.colour, atol=white / 1000)
    assert "not grey, of one size and of one type, as in FITS; use -o NAME.tif" in refused(
        "restore", tmp_path / "in.tif", "-o", tmp_path / "out.fits", *options
    )


def test_colour_pages_become_no_cube(refused, scene, tmp_path, options) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.stack(2 * [scene()]), photometric="rgb", metadata=None)
    assert "use -o NAME.tif" in refused("restore", tmp_path / "in.tif", "-o", tmp_path / "out.fits", *options)


def test_explain_states_the_white_of_all_pages(daep, stack, options) -> None:
    pages = tifffile.imread(stack)[::-1]
    tifffile.imwrite(stack, pages[[0, -1]], photometric="minisblack", metadata=None)
    assert "1 is white 4095" in daep("restore", stack, "--explain", *options).out
