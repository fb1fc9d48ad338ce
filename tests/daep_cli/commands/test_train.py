"""``daep train``: its result restores, it resumes, and it replaces nothing of the user's."""

from __future__ import annotations

import signal
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import typer
from PIL import Image

import daep_prior
from daep_cli.commands.train import make_network
from daep_cli.main import app
from daep_cli.noise_option import Counts
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.writing import write_photo
from daep_cli.training_files import read_training_images
from daep_prior import ConvDAE, UNetDAE, load_dae
from daep_prior.pretrained import read_card
from daep_prior.training import FINE_TUNING, TrainingConfig, TrainingImage
from daep_prior.training.data import random_crops


@pytest.fixture
def folder(tmp_path: Path, scene) -> Path:
    """Two small training images."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        write_photo(Photo(scene(24, 24)), images / name)
    return images


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of two layers instead of twenty."""
    monkeypatch.setattr(daep_prior, "ConvDAE", lambda **k: ConvDAE(depth=2, width=4, **k))
    monkeypatch.setattr(daep_prior, "UNetDAE", lambda **k: UNetDAE(widths=(4, 8), blocks=1, **k))


QUICK = ["--steps", 2, "--batch", 2, "--crop", 16]


@pytest.mark.parametrize("network", ["paper", "unet"])
def test_a_trained_network_restores(daep, folder, tmp_path, photo, small, network: str) -> None:
    weights = tmp_path / "w.safetensors"
    outcome = daep("train", folder, "-o", weights, "--network", network, *QUICK)
    assert outcome.status == 0, outcome.err
    assert "step 2/2" in outcome.out
    options = ["--noise", 25, "--denoiser", weights, "--iterations", 1]
    assert daep("restore", photo, "-o", tmp_path / "out.png", *options).status == 0


def test_the_same_command_resumes(daep, folder, tmp_path, small) -> None:
    arguments = ["train", folder, "-o", tmp_path / "w.safetensors", "--batch", 2, "--crop", 16]
    assert daep(*arguments, "--steps", 2).status == 0
    outcome = daep(*arguments, "--steps", 3)
    assert outcome.status == 0, outcome.err
    assert "resumed at step 2" in outcome.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_a_checkpoint_and_the_same_command_goes_on(
    daep, folder, tmp_path, small, monkeypatch, number
) -> None:
    from daep_prior.training.run import TrainingRun

    learn = TrainingRun.learn

    def interrupted(run, crops):
        if run.step == 1:
            signal.raise_signal(number)
        learn(run, crops)

    monkeypatch.setattr(TrainingRun, "learn", interrupted)
    arguments = ["train", folder, "-o", tmp_path / "w.safetensors", "--batch", 2, "--crop", 16, "--steps", 4]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may ignore it
    try:
        outcome = daep(*arguments)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.status == 130
    assert outcome.err == "daep: interrupted at step 2; the same command continues from there.\n"
    monkeypatch.undo()
    monkeypatch.setattr(daep_prior, "UNetDAE", lambda **k: UNetDAE(widths=(4, 8), blocks=1, **k))
    assert "resumed at step 2 " in daep(*arguments).out


def test_the_shipped_network_is_the_start_and_never_becomes_worse(daep, tmp_path) -> None:
    """Three steps of a rate that ruins it: the start remains, which sees grey as the colour network does."""
    folder, weights = tmp_path / "images", tmp_path / "w.safetensors"
    folder.mkdir()
    for i, frame in enumerate(frames(13)):
        tifffile.imwrite(folder / f"{i:02}.tif", frame)
    outcome = daep("train", folder, "-o", weights, "--learning-rate", 0.5, "--batch", 2, "--crop", 16, "--steps", 3)
    assert (outcome.status, outcome.err) == (0, "")
    assert "starting from the weights of dae" in outcome.out and "step 0/3: before training" in outcome.out
    card = read_card(weights)
    assert (card["step"], card["best_step"], len(card["validation"])) == (3, 0, 4)
    x = torch.rand(1, 1, 24, 24)
    torch.testing.assert_close(load_dae(weights)(x, 0.1), load_dae("dae")(x, 0.1), atol=5e-3, rtol=0)


def test_from_scratch_starts_from_new_weights(daep, folder, tmp_path, small) -> None:
    outcome = daep("train", folder, "-o", tmp_path / "w.safetensors", "--from-scratch", *QUICK)
    assert outcome.status == 0 and "starting from new weights" in outcome.out


def test_noise_of_a_sensor_is_stabilised_as_in_the_restoration(daep, tmp_path, small) -> None:
    """In half of the crops: values from 0 to 1 after Anscombe's transform, where noise of photons has one level."""
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", frames(2), photometric="minisblack")
    (image, _), _, _ = read(folder, counts=Counts(8, 10))
    rng, deviations = np.random.default_rng(0), []
    for light in (300, 3000):
        noisy = (8 * rng.poisson(light / 8, (64, 64)) + rng.normal(0, 10, (64, 64))).astype(np.float32)
        deviations.append(image.curve(noisy / 4095).std())
    assert deviations[1] == pytest.approx(deviations[0], rel=0.06)
    ends = image.curve(np.array([[0.0, 1.0]], np.float32))
    np.testing.assert_allclose(ends, [[0, 1]], atol=1e-5)
    crops = random_crops(
        [TrainingImage(np.full((20, 20, 1), 0.5), curve=lambda crop: crop + 1)],
        TrainingConfig(network=UNetDAE(channels=1).config(), batch=200, crop=8),
        0,
    )
    assert set(crops.unique().tolist()) == {0.5, 1.5} and 60 < (crops[:, 0, 0, 0] > 1).sum() < 140
    outcome = daep("train", folder, "-o", tmp_path / "w.safetensors", "--noise", "poisson:8:10", "--blur", 1, *QUICK)
    assert (outcome.status, outcome.err) == (0, "")
    other = daep("train", folder, "-o", tmp_path / "w.safetensors", "--noise", "poisson:9", "--blur", 1, *QUICK)
    assert other.status == 2 and "belongs to a run with --noise poisson:8:10; give the same options" in other.err


@pytest.mark.parametrize("name", ["steps", "batch", "crop", "learning_rate"])
def test_the_help_says_the_defaults(name: str) -> None:
    (option,) = (p for p in typer.main.get_command(app).commands["train"].params if p.name == name)
    default = next(field.default for field in fields(TrainingConfig) if field.name == name)
    adapting = FINE_TUNING.get(name)
    both = f"{adapting}, with --from-scratch {default}" if adapting else default
    assert option.help.endswith(f"default {both}.")


def test_noise_levels_reach_the_network(daep, folder, tmp_path, small) -> None:
    for network, sigma in (("paper", 11), ("unet", 15)):
        out = tmp_path / f"{network}.safetensors"
        daep("train", folder, "-o", out, "--network", network, "--sigma", sigma, *QUICK)
        assert load_dae(out).sigma == pytest.approx(sigma / 255)
    assert make_network("unet", None).conditional
    assert make_network("paper", None).sigma == pytest.approx(25 / 255)


def test_weights_without_a_checkpoint_are_somebodys_and_are_left_alone(refused, folder, tmp_path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"mine")
    assert "give --overwrite" in refused("train", folder, "-o", out, *QUICK)
    assert out.read_bytes() == b"mine"


def test_overwrite_replaces_weights_and_training_can_start_from_others(daep, folder, tmp_path, small) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert daep("train", folder, "-o", first, *QUICK).status == 0
    second.write_bytes(b"replace me")
    outcome = daep("train", folder, "-o", second, "--start-from", first, "--overwrite", *QUICK)
    assert outcome.status == 0, outcome.err
    assert "starting from the weights of" in outcome.out
    load_dae(second)


def test_weights_to_start_from_that_are_not_there_are_named(refused, folder, tmp_path, small) -> None:
    line = refused("train", folder, "-o", tmp_path / "w.safetensors", "--start-from", "none.safetensors", *QUICK)
    assert "--start-from none.safetensors: no such weight file; check its name" in line


def test_training_from_another_architecture_is_refused(daep, folder, tmp_path, small) -> None:
    unet = tmp_path / "unet.safetensors"
    assert daep("train", folder, "-o", unet, "--network", "unet", *QUICK).status == 0
    out = tmp_path / "w.safetensors"
    outcome = daep("train", folder, "-o", out, "--network", "paper", "--start-from", unet, *QUICK)
    assert outcome.status == 2 and "--start-from" in outcome.err and "architecture" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{none}", "-o", "{out}"], "does not exist"),
        (["{folder}", "-o", "{tmp}/w.pt"], "cannot write this format"),
        (["{folder}", "-o", "{tmp}/none/w.safetensors"], "create it first"),
        (["{folder}", "-o", "{out}", "--sigma", "0"], "--sigma 0"),
        (["{folder}", "-o", "{out}", "--sigma", "nan"], "--sigma nan"),
        (["{folder}", "-o", "{out}", "--steps", "0"], "--steps: got 0"),
        (["{folder}", "-o", "{out}", "--learning-rate", "-1"], "--learning-rate: got -1"),
        (["{folder}", "-o", "{out}", "--crop", "4096"], "a.png: 24 x 24 pixels, smaller than a crop of 4096"),
        (["{folder}", "-o", "{out}", "--blur", "30"], "--blur: got 30"),
        (["{folder}", "-o", "{out}", "--from-scratch", "--start-from", "dae"], "exclude each other"),
        (["{folder}", "-o", "{out}", "--noise", "25"], "--noise 25: expected poisson:GAIN"),
        (["{folder}", "-o", "{out}", "--noise", "poisson"], "expected poisson:GAIN"),
        (["{folder}", "-o", "{out}", "--device", "toaster"], "--device toaster"),
    ],
)
def test_bad_input_is_status_2_and_writes_nothing(daep, folder, tmp_path, arguments, reason) -> None:
    places = {"none": tmp_path / "none", "folder": folder, "tmp": tmp_path, "out": tmp_path / "w.safetensors"}
    outcome = daep("train", *(a.format(**places) for a in arguments))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert reason in outcome.err
    assert not list(tmp_path.glob("*.safetensors"))


# -- people's own data -------------------------------------------------------------------------------------------------


def frames(count: int = 3, size: int = 24) -> np.ndarray:
    """Grey frames of 12 bits, with noise in the last bits."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    scenes = np.stack([2000 + 1500 * np.sin(0.3 * x + i) * np.cos(0.2 * y) for i in range(count)])
    return (scenes + rng.normal(0, 20, scenes.shape)).clip(0, 4095).round().astype(np.uint16)


def read(
    folder: Path, channels: int | None = None, white: float | None = None, counts: Counts | None = None
) -> tuple[list, int, list[str]]:
    lines: list[str] = []
    images, found = read_training_images(folder, channels, 16, white, lines.append, counts)
    return images, found, lines


def test_twelve_bits_in_sixteen_keep_all_their_levels(tmp_path: Path) -> None:
    values = frames(1)[0]
    tifffile.imwrite(tmp_path / "a.tif", values)
    (image,), channels, lines = read(tmp_path)
    assert channels == 1 and not lines
    assert (image.black, image.top) == (0, 4095)
    crop = image.crop(0, 0, 24, 24, 1)[..., 0]
    np.testing.assert_array_equal((4095 * crop).round(), values)
    assert read(tmp_path, white=8000)[0][0].top == 8000


def test_photons_are_counted_from_black(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", frames(1)[0])
    (image,) = read_training_images(tmp_path, None, 16, None, print, Counts(2.0, 8.0), 95.0)[0]
    assert (image.black, image.top) == (95, 4095)
    assert image.curve.keywords == pytest.approx({"gain": 2 / 4000, "read": 8 / 4000})


def test_black_that_is_no_number_is_refused(refused, folder, tmp_path) -> None:
    command = ["train", folder, "-o", tmp_path / "w.safetensors", "--black", "nan"]
    assert "--black nan: expected a number, the value of no light in the files." in refused(*command)


def test_pages_of_two_types_have_two_ranges(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for values in (frames(1)[0], (frames(1)[0] // 16).astype(np.uint8)):
            file.write(values, photometric="minisblack", metadata=None)
    assert [image.top for image in read(tmp_path)[0]] == [4095, 255]


def test_floats_of_any_range_keep_it(tmp_path: Path) -> None:
    values = np.linspace(-1000, 1000, 24 * 24).reshape(24, 24).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    (image,), _, _ = read(tmp_path)
    crop = image.crop(0, 0, 24, 24, 1)[..., 0]
    np.testing.assert_allclose(2000 * crop - 1000, values, atol=1e-3)


def test_every_page_and_slice_is_an_image(tmp_path: Path) -> None:
    stack = frames(5)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    np.save(tmp_path / "b.npy", stack)
    np.savez(tmp_path / "c.npz", one=stack[0], two=stack)
    images, channels, lines = read(tmp_path)
    assert (len(images), channels, lines) == (5 + 5 + 6, 1, [])
    wanted = [*stack, *stack, stack[0], *stack]
    for image, values in zip(images, wanted, strict=True):
        np.testing.assert_array_equal(image.values[..., 0], values)


def test_zarr_arrays_and_groups_are_read(tmp_path: Path, scene) -> None:
    zarr = pytest.importorskip("zarr")
    stack = frames(5)
    zarr.save_array(str(tmp_path / "stack.zarr"), stack)
    zarr.save_group(str(tmp_path / "group.zarr"), one=stack[0], two=stack[1])
    (tmp_path / "damaged.zarr").mkdir()
    write_photo(Photo(scene(24, 24, 1)), tmp_path / "good.png")
    images, channels, lines = read(tmp_path)
    assert (len(images), channels) == (1 + 2 + 5, 1)
    assert lines[0].startswith("skipped damaged.zarr: not a readable file of arrays of numbers")
    assert lines[1:] == ["1 of 4 files skipped"]
    found = [image.values[..., 0] for image in images if image.values.dtype == np.uint16]
    for values in stack[:2]:
        assert sum(np.array_equal(values, one) for one in found) == 2


@pytest.mark.parametrize(
    ("shape", "channels", "found"),
    [
        ((24, 24), None, (1, 1)),
        ((24, 24, 2), None, (1, 2)),
        ((2, 24, 24), None, (1, 2)),
        ((9, 24, 24), None, (9, 1)),
        ((9, 24, 24), 9, (1, 9)),
        ((24, 24, 9), 9, (1, 9)),
        ((24, 24, 9), None, (1, 9)),  # no image has sides shorter than a crop
        ((6, 24, 24, 3), None, (6, 3)),
        ((6, 3, 24, 24), None, (6, 3)),
    ],
)
def test_arrays_in_every_usual_layout(tmp_path: Path, shape, channels, found) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).uniform(size=shape))
    images, count, lines = read(tmp_path, channels)
    assert (len(images), count) == found
    assert lines == (
        ["the first image has 24 x 24 pixels and 9 channels; --channels sets another number"] * (count == 9)
    )


def test_complex_numbers_are_two_channels(tmp_path: Path) -> None:
    values = np.exp(1j * np.linspace(0, 6, 24 * 24)).reshape(24, 24)
    np.save(tmp_path / "a.npy", values)
    (image,), channels, _ = read(tmp_path)
    assert channels == 2
    np.testing.assert_allclose(image.values, np.stack([values.real, values.imag], -1))


def test_two_channels_train_a_network_for_two(daep, tmp_path: Path, small) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    two = np.moveaxis(frames(2), 0, -1).copy()
    tifffile.imwrite(
        folder / "a.tif", two, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
    )
    weights = tmp_path / "w.safetensors"
    outcome = daep("train", folder, "-o", weights, "--network", "unet", *QUICK)
    assert (outcome.status, outcome.err) == (0, "")
    assert load_dae(weights).in_channels == 2


def test_a_grey_network_restores_grey_and_colour(daep, tmp_path: Path, photo, scene, small) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", frames(4), photometric="minisblack")
    weights = tmp_path / "w.safetensors"
    assert daep("train", folder, "-o", weights, "--network", "unet", *QUICK).status == 0
    assert load_dae(weights).in_channels == 1
    write_photo(Photo(scene(24, 32, 1)), tmp_path / "grey.png")
    for source in (photo, tmp_path / "grey.png"):
        options = ["--noise", 25, "--denoiser", weights, "--iterations", 1, "--overwrite"]
        outcome = daep("restore", source, "-o", tmp_path / "out.png", *options)
        assert (outcome.status, outcome.err) == (0, "")


def test_what_cannot_be_used_is_skipped_by_a_sentence_and_never_spoilt(tmp_path: Path, scene) -> None:
    write_photo(Photo(scene(24, 24)), tmp_path / "good.png")
    holes = frames(1)[0].astype(np.float32)
    holes[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "holes.tif", holes)
    tifffile.imwrite(tmp_path / "small.tif", frames(1, 12)[0])
    np.save(tmp_path / "text.npy", np.array(["a", "b"]))
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY\x01\x00")
    np.save(tmp_path / "five.npy", np.ones((3, 24, 24, 5)))
    images, channels, lines = read(tmp_path, 3)
    assert lines.pop() == "5 of 6 files skipped"
    assert [line.partition(":")[0] for line in sorted(lines)] == [
        f"skipped {name}" for name in ("cut.npy", "five.npy", "holes.tif", "small.tif", "text.npy")
    ]
    assert any("pixels without a value (NaN or infinity)" in line for line in lines)
    assert any("12 x 12 pixels, smaller than a crop of 16" in line for line in lines)
    assert (len(images), channels) == (1, 3)


def test_of_a_stack_only_the_images_that_cannot_be_used_are_skipped(tmp_path: Path) -> None:
    stack = frames(6).astype(np.float32)
    stack[1, 2, 3] = np.inf
    np.save(tmp_path / "a.npy", stack)
    images, _, lines = read(tmp_path)
    for image, values in zip(images, np.delete(stack, 1, 0), strict=True):
        np.testing.assert_array_equal(image.values[..., 0], values)
    assert lines == ["skipped 1 of the 6 images of a.npy: it has pixels without a value (NaN or infinity)"]
    np.save(tmp_path / "b.npy", np.ones((9, 24, 24, 5)))
    assert read(tmp_path, 1)[2][1:] == [
        "skipped b.npy: 5 channels, the network has 1; --channels sets another number",
        "1 of 2 files skipped",
    ]


def test_numbers_and_names_beside_an_image_are_left_out(tmp_path: Path) -> None:
    values = frames(1)[0]
    np.savez(tmp_path / "a.npz", image=values, pixel_size=0.5, names=np.array(["x", "y"]))
    (image,), _, lines = read(tmp_path)
    np.testing.assert_array_equal(image.values[..., 0], values)
    assert lines == []
    np.savez(tmp_path / "b.npz", pixel_size=0.5)
    assert read(tmp_path)[2] == ["skipped b.npz: it contains no image", "1 of 2 files skipped"]


def test_webp_hides_what_is_transparent_and_has_frames(tmp_path: Path, scene) -> None:
    shown = np.dstack([np.full((24, 24, 3), 100), np.full((24, 24), 255)]).astype(np.uint8)
    shown[:4] = (255, 255, 255, 0)
    Image.fromarray(shown).save(tmp_path / "a.webp", lossless=True, exact=True)
    (image,), _, _ = read(tmp_path)
    assert (image.values == 100).all()
    one, two = (Image.fromarray(scene(24, 24)[::step]) for step in (1, -1))
    one.save(tmp_path / "a.webp", lossless=True, save_all=True, append_images=[two])
    assert [np.array_equal(i.values, scene(24, 24)[::s]) for i, s in zip(read(tmp_path)[0], (1, -1), strict=True)]
    (tmp_path / "b.bmp").write_bytes(b"BM" + bytes(60))
    assert "skipped b.bmp: not a readable BMP or WebP image" in read(tmp_path)[2][0]


def test_an_array_stays_on_the_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", frames(5))
    assert all(isinstance(image.values, np.memmap) for image in read(tmp_path)[0])


def test_a_photon_is_less_than_white(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", frames(1)[0])
    with pytest.raises(ValueError, match="one photon of --noise poisson:9000 would be more than white, 4095"):
        read(tmp_path, counts=Counts(9000))


def test_the_reason_for_a_damaged_array_is_short(tmp_path: Path, scene) -> None:
    write_photo(Photo(scene(24, 24)), tmp_path / "good.png")
    header = b"{'descr': '<c16', 'shape': (3, " + bytes(2000)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    _, _, (line, count) = read(tmp_path)
    assert count == "1 of 2 files skipped"
    assert line.startswith("skipped a.npy: ") and len(line) < 250


def test_images_of_other_channels_are_skipped(tmp_path: Path, scene) -> None:
    write_photo(Photo(scene(24, 24)), tmp_path / "colour.png")
    np.save(tmp_path / "two.npy", np.ones((24, 24, 2)))
    images, channels, lines = read(tmp_path)
    assert (len(images), channels) == (1, 3)
    assert lines == [
        "skipped two.npy: 2 channels, the network has 3; --channels sets another number",
        "1 of 2 files skipped",
    ]


def test_colours_under_transparency_are_not_learned(tmp_path: Path) -> None:
    colour, alpha = np.full((24, 24, 3), 100, np.uint8), np.full((24, 24), 255, np.uint8)
    colour[:4], alpha[:4] = 255, 0
    write_photo(Photo(colour, alpha), tmp_path / "a.png")
    (image,), _, _ = read(tmp_path)
    assert (image.values == 100).all()


def test_a_run_with_other_options_is_refused_by_their_names(daep, folder, tmp_path, small) -> None:
    command = ["train", folder, "-o", tmp_path / "w.safetensors", "--from-scratch"]
    assert daep(*command, *QUICK, "--noise", "poisson:2", "--white", 255).status == 0
    for options, words in (
        (["--batch", 3], "a run with neither"),
        (["--batch", 3, "--noise", "poisson:2", "--white", 255], "a run with --batch 2; give the same options"),
        (["--noise", "poisson:2"], "a run with --noise poisson:2 --white 255; give"),
        (["--noise", "poisson:2", "--white", 255, "--sigma", 20], "a run with no --sigma; give"),
        (["--noise", "poisson:2", "--white", 255, "--channels", 1], "a run with --channels 3; give"),
        (["--noise", "poisson:2", "--white", 255, "--learning-rate", 1], "a run with --learning-rate 0.001; give"),
    ):
        outcome = daep(*command, *QUICK, *options)
        assert outcome.status == 2
        assert words.replace("neither", "--noise poisson:2 --white 255, --batch 2") in outcome.err


def test_how_other_channels_are_shown_is_said(tmp_path: Path, scene) -> None:
    write_photo(Photo(scene(24, 24)), tmp_path / "colour.png")
    write_photo(Photo(scene(24, 24, 1)), tmp_path / "grey.png")
    assert read(tmp_path)[2] == ["1 of 2 images are grey; the network has 3 channels and sees them in each"]
    assert read(tmp_path, 1)[2] == ["1 of 2 images are colour; the network has one channel and sees them as grey"]
