"""Training: it learns, it survives being killed at any moment, and it survives the images people have."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from daep_prior import load_dae
from daep_prior.networks import ConvDAE, UNetDAE
from daep_prior.pretrained import read_card, read_safetensors
from daep_prior.training import TrainingConfig, TrainingImage, load_training_images, train, validation_psnr
from daep_prior.training.data import random_crops

CONV = ConvDAE(depth=3, width=8).config()
UNET = UNetDAE(widths=(6, 8), blocks=1, sigma_range=(0.0, 0.2)).config()
SHORT: dict[str, Any] = {"network": CONV, "steps": 24, "batch": 4, "crop": 16, "validation_images": 2, "warmup": 3}


def picture(seed: int, height: int = 48, width: int = 48) -> np.ndarray:
    """A smooth ground and a few hard-edged rectangles, uint8 (H, W, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    out = rng.uniform(60, 190, 3) + 60 * np.sin(
        rng.uniform(1, 4, 3) * x[..., None] + rng.uniform(1, 4, 3) * y[..., None]
    )
    for _ in range(5):
        top, left = rng.integers(0, height - 4), rng.integers(0, width - 4)
        out[top : top + rng.integers(4, 24), left : left + rng.integers(4, 24)] = rng.uniform(0, 255, 3)
    return out.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight small synthetic photographs."""
    path = tmp_path_factory.mktemp("photographs")
    for i in range(8):
        Image.fromarray(picture(i)).save(path / f"{i}.png")
    return path


def quiet(_: str) -> None:
    pass


# -- images ----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_skipped_with_one_line_each(tmp_path):
    good = picture(0)
    Image.fromarray(good).save(tmp_path / "a.png")
    (tmp_path / "sub").mkdir()
    Image.fromarray(good).save(tmp_path / "sub" / "b.BMP")
    Image.fromarray(good).save(tmp_path / "really-a-png.jpg", format="png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.png").write_text("this is no image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.txt").write_text("not even called an image")
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(picture(1, 20, 12)).save(tmp_path / "tiny.png")
    lines: list[str] = []
    images = load_training_images(tmp_path, 16, lines.append)
    assert len(images) == 3
    assert all(np.array_equal(image.values, good) for image in images)
    assert sorted(line.split(":")[0] for line in lines) == [
        f"skipped {name}" for name in ("empty.jpg", "text.png", "tiny.png", "truncated.png")
    ]
    assert "12 x 20" in next(line for line in lines if "tiny" in line)
    assert not any("\n" in line for line in lines)


def test_every_kind_of_image_keeps_its_values(tmp_path):
    colour = picture(0)
    grey = colour[..., 0]
    deep = grey.astype(np.uint16) * 16 + 7
    files: dict[str, tuple[Image.Image, np.ndarray]] = {
        "1-rgb.png": (Image.fromarray(colour), colour),
        "2-rgba.png": (Image.fromarray(np.dstack([colour, np.full(grey.shape, 128, np.uint8)])), colour),
        "3-grey.png": (Image.fromarray(grey), grey),
        "4-grey-alpha.png": (Image.fromarray(grey).convert("LA"), grey),
        "5-grey16.png": (Image.fromarray(deep), deep),
        "6-grey16.tif": (Image.fromarray(deep), deep),
        "7-grey32.tif": (Image.fromarray(grey.astype(np.int32) * 257), grey.astype(np.int32) * 257),
        "8-float.tif": (Image.fromarray(grey.astype(np.float32) / 255), grey.astype(np.float32) / 255),
    }
    for name, (image, _) in files.items():
        image.save(tmp_path / name)
    lines: list[str] = []
    images = load_training_images(tmp_path, 16, lines.append)
    assert not lines
    for (name, (_, wanted)), image in zip(sorted(files.items()), images, strict=True):
        np.testing.assert_array_equal(image.values, wanted.reshape(*wanted.shape[:2], -1), name)


def test_files_that_would_lose_precision_are_skipped_and_named(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    deep = picture(0).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    tifffile.imwrite(tmp_path / "stack.tif", deep[..., 0][None].repeat(3, 0), photometric="minisblack")
    Image.fromarray(picture(0)).save(tmp_path / "good.png")
    lines: list[str] = []
    assert len(load_training_images(tmp_path, 16, lines.append)) == 1
    assert "skipped deep.tif: cannot be read" in lines[0]
    assert "skipped stack.tif" in lines[1] and "contains 3 images" in lines[1]


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_networks_learn_images_of_any_number_of_channels_from_arrays(tmp_path, channels):
    """Values between 900 and 4095, twelve bits: all of their levels reach the network."""
    arrays = [picture(i)[..., :1].repeat(channels, 2).astype(np.uint16) * 12 + 900 for i in range(4)]
    images = [TrainingImage(array, black=100, white=4095) for array in arrays]
    network = UNetDAE(widths=(6, 8), blocks=1, sigma_range=(0.0, 0.2), channels=channels).config()
    config = TrainingConfig(**{**SHORT, "network": network, "steps": 2})
    crops = random_crops(images, config, 0)
    assert crops.shape == (4, channels, 16, 16)
    levels = (crops * 3995 + 100).double()
    torch.testing.assert_close(levels, levels.round(), atol=1e-2, rtol=0)
    train(images, tmp_path / "net.safetensors", config, "cpu", quiet)
    dae = load_dae(tmp_path / "net.safetensors")
    assert dae.in_channels == channels
    x = torch.rand(1, channels, 20, 20)
    assert dae(x, 0.1).shape == x.shape


def test_arrays_that_do_not_suit_the_network_are_refused(tmp_path):
    config = TrainingConfig(**SHORT)
    for images, reason in (
        ([], "images: got none"),
        ([np.zeros((20, 20, 2))], "number 0 has 2 channels; expected 3, or 1"),
        ([picture(0), np.zeros((20, 12))], "number 1 has 12 x 20 pixels"),
        ([np.zeros((20, 20), complex)], "expected numbers of shape"),
        ([np.zeros((2, 20, 20, 3))], "expected numbers of shape"),
    ):
        with pytest.raises(ValueError, match=reason):
            train(images, tmp_path / "net.safetensors", config, "cpu", quiet)
    with pytest.raises(ValueError, match="white: got 3; expected a number above black, 5"):
        TrainingImage(picture(0), black=5, white=3)


def test_grey_images_teach_a_colour_network_and_colours_a_grey_one():
    colour, grey = TrainingImage(picture(0)), TrainingImage(picture(0)[..., :1])
    as_colour, as_grey = grey.crop(0, 0, 9, 9, 3), colour.crop(0, 0, 9, 9, 1)
    assert (as_colour == as_colour[..., :1]).all()
    np.testing.assert_allclose(as_grey[..., 0], picture(0)[:9, :9].mean(2) / 255, atol=1e-6)


@pytest.mark.parametrize("content", [None, "notes.txt", "broken.png"])
def test_a_folder_without_a_usable_image_is_refused(tmp_path, content):
    if content:
        (tmp_path / content).write_text("no image")
    with pytest.raises(ValueError, match="no usable image"):
        load_training_images(tmp_path, 16, quiet)


def test_a_folder_that_is_none_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(ValueError, match="not a folder"):
            load_training_images(path, 16, quiet)


def test_crops_depend_on_seed_and_step_and_on_nothing_else():
    images, config = [TrainingImage(picture(i, 40, 30)) for i in range(3)], TrainingConfig(**SHORT)
    first = random_crops(images, config, 5)
    np.random.seed(0)
    torch.manual_seed(0)
    assert first.shape == (4, 3, 16, 16) and first.dtype == torch.float32
    assert torch.equal(random_crops(images, config, 5), first)
    assert not torch.equal(random_crops(images, config, 6), first)
    assert not torch.equal(random_crops(images, TrainingConfig(**{**SHORT, "seed": 1}), 5), first)


def test_crops_are_pieces_of_the_images_in_all_eight_orientations():
    image = np.zeros((16, 16, 3), np.uint8)
    image[0, 1] = 255
    config = TrainingConfig(**{**SHORT, "batch": 200, "augmentation": 0.0})
    crops = random_crops([TrainingImage(image)], config, 0)[:, 0]
    assert (crops.flatten(1).sum(1) == 1).all()
    assert len({int(crop.argmax()) for crop in crops}) == 8


def test_a_share_of_the_crops_is_made_smaller():
    """Of a pattern of pixels nothing is left where it was made smaller, and all of it where not."""
    image = np.zeros((200, 200, 3), np.uint8)
    image[::2, ::2] = image[1::2, 1::2] = 255
    contrast = random_crops([TrainingImage(image)], TrainingConfig(**{**SHORT, "batch": 400, "augmentation": 0.25}), 0)
    untouched = (contrast.double().flatten(1).std(1) > 127 / 255).double().mean()
    assert untouched == pytest.approx(0.75, abs=0.08)


def test_a_share_of_the_crops_is_recoloured_and_keeps_its_lightness():
    image = np.full((20, 20, 3), (140, 120, 100), np.uint8)
    config = TrainingConfig(**{**SHORT, "batch": 400, "augmentation": 0.5})
    crops = 255 * random_crops([TrainingImage(image)], config, 0)[:, :, 0, 0].double()
    changed = ((crops - torch.tensor([140.0, 120.0, 100.0])).abs() > 1e-3).any(1)
    assert changed.double().mean() == pytest.approx(0.5, abs=0.08)
    assert ((crops.mean(1) - 120).abs() < 1).all()
    assert crops[:, 0].min() < 95  # channels change places, and colours become stronger
    grey = np.full((20, 20, 3), 77, np.uint8)
    crops = random_crops([TrainingImage(grey)], TrainingConfig(**{**SHORT, "augmentation": 1.0}), 0)
    assert ((255 * crops - 77).abs() < 1e-3).all()


def test_an_image_of_the_size_of_a_crop_is_cut_whole():
    image = picture(0, 16, 16)
    config = TrainingConfig(**{**SHORT, "batch": 50, "augmentation": 1.0})
    crops = random_crops([TrainingImage(image)], config, 0)
    assert crops.shape == (50, 3, 16, 16)


# -- configurations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 0},
        {"batch": 0},
        {"crop": 0},
        {"validation_images": 0},
        {"learning_rate": 0.0},
        {"learning_rate": math.nan},
        {"final_learning_rate": -1.0},
        {"clip": math.inf},
        {"ema": 1.0},
        {"level_offset": 0.0},
        {"augmentation": 1.1},
        {"augmentation": math.nan},
        {"seed": -1},
        {"seed": 2**32},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        TrainingConfig(**change)


def test_the_learning_rate_rises_and_then_falls_to_its_end():
    config = TrainingConfig(steps=1000, warmup=100, learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [config.learning_rate_at(step) for step in range(1001)]
    peak = int(np.argmax(rates))
    assert peak in (98, 99, 100) and 0.9e-3 < rates[peak] <= 1e-3
    assert all(np.diff(rates[:99]) > 0) and all(np.diff(rates[100:]) < 0)
    assert rates[-1] == pytest.approx(1e-5)


@pytest.mark.parametrize("output", ["net.pt", "net", "missing/net.safetensors"])
def test_an_impossible_output_is_refused_before_the_work(folder, tmp_path, output):
    with pytest.raises(ValueError, match="output"):
        train(folder, tmp_path / output, TrainingConfig(**SHORT), "cpu", quiet)


def test_an_unknown_network_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="architecture"):
        train(folder, tmp_path / "net.safetensors", TrainingConfig(**{**SHORT, "network": {}}), "cpu", quiet)


# -- learning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("network", [CONV, UNET], ids=["conv", "unet"])
def test_a_short_training_denoises_images_it_has_not_seen(folder, tmp_path, network):
    config = TrainingConfig(
        **{**SHORT, "network": network, "steps": 250, "learning_rate": 5e-3, "final_learning_rate": 1e-3}
    )
    lines: list[str] = []
    state = torch.get_rng_state()
    card = train(folder, tmp_path / "net.safetensors", config, "cpu", lines.append, validate_every=125)
    assert torch.equal(torch.get_rng_state(), state)  # the user's
    dae = load_dae(tmp_path / "net.safetensors")
    unseen = [TrainingImage(picture(100 + i)) for i in range(4)]
    for level, psnr in validation_psnr(dae, unseen, torch.device("cpu")).items():
        if float(level) > 10:
            assert psnr > -20 * math.log10(float(level) / 255) + 1.5, level
    assert read_card(tmp_path / "net.safetensors") == json.loads(json.dumps(card))
    assert [entry["step"] for entry in card["validation"]] == [125, 250]
    assert card["training_images"] == 6
    assert sum(line.startswith("step ") for line in lines) == 2


def test_validation_uses_levels_the_network_was_trained_on():
    dae = UNetDAE(widths=(4,), blocks=1, sigma_range=(0.0, 0.1)).eval()
    assert list(validation_psnr(dae, [TrainingImage(picture(0))], torch.device("cpu"))) == ["5", "15", "25"]


def test_too_few_images_to_hold_some_out_are_reported(tmp_path):
    Image.fromarray(picture(0)).save(tmp_path / "one.png")
    lines: list[str] = []
    train(tmp_path, tmp_path / "net.safetensors", TrainingConfig(**{**SHORT, "steps": 1}), "cpu", lines.append)
    assert any("measured on training images" in line for line in lines)


# -- interruption ----------------------------------------------------------------------------------------------------


class StopRun(Exception):
    pass


def stop_at(step: int) -> Callable[[str], None]:
    def log(line: str) -> None:
        if line.startswith(f"step {step}/"):
            raise StopRun

    return log


def run(folder: Path, output: Path, log: Callable[[str], None] = quiet, **changes: Any) -> dict[str, Any]:
    return train(
        folder, output, TrainingConfig(**{**SHORT, **changes}), "cpu", log, checkpoint_seconds=0, validate_every=8
    )


def assert_same(one: Path, other: Path) -> None:
    for name in (one.name, one.name.replace(".safetensors", ".checkpoint.safetensors")):
        a, b = (read_safetensors(path.with_name(name))[0] for path in (one, other))
        assert a.keys() == b.keys()
        assert all(torch.equal(a[key], b[key]) for key in a), name
    assert read_card(one)["validation"] == read_card(other)["validation"]


@pytest.fixture(scope="module", params=[CONV, UNET], ids=["conv", "unet"])
def uninterrupted(folder, tmp_path_factory, request) -> tuple[Path, dict[str, Any]]:
    output = tmp_path_factory.mktemp("straight") / "net.safetensors"
    run(folder, output, network=request.param)
    return output, request.param


def test_an_interrupted_run_resumes_to_the_same_bits(folder, tmp_path, uninterrupted):
    straight, network = uninterrupted
    output = tmp_path / "net.safetensors"
    for step in (8, 16):
        with pytest.raises(StopRun):
            run(folder, output, stop_at(step), network=network)
        load_dae(output)  # what a stopped run has reached can be used
    lines: list[str] = []
    run(folder, output, lines.append, network=network)
    assert any("resumed at step 15" in line for line in lines)
    assert_same(straight, output)


def test_a_killed_run_resumes_to_the_same_bits(folder, tmp_path, uninterrupted, environment):
    straight, network = uninterrupted
    output = tmp_path / "net.safetensors"
    program = (
        "import json, sys\n"
        "from daep_prior.training import *\n"
        "folder, output, config = sys.argv[1:]\n"
        "log = lambda line: print(line, flush=True)\n"
        "train(folder, output, TrainingConfig(**json.loads(config)), 'cpu', log, 0, 8)\n"
    )
    config = json.dumps({**SHORT, "network": network})
    command = [sys.executable, "-c", program, str(folder), str(output), config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 8/"):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    lines: list[str] = []
    run(folder, output, lines.append, network=network)
    assert any("resumed at step" in line for line in lines)
    assert_same(straight, output)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a program of its own; a test run in the background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("moment", ["clip_grad_norm_", "validation"])
def test_ctrl_c_saves_whole_steps_and_resumes_to_the_same_bits(
    folder, tmp_path, uninterrupted, ctrl_c, monkeypatch, moment
):
    straight, network = uninterrupted
    output = tmp_path / "net.safetensors"
    name = "daep_prior.training.loop.validation_psnr" if moment == "validation" else f"torch.nn.utils.{moment}"
    module, _, function = name.rpartition(".")
    original = getattr(sys.modules[module], function)

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(name, interrupted)
    config = TrainingConfig(**{**SHORT, "network": network})
    step = 8 if moment == "validation" else 1
    with pytest.raises(KeyboardInterrupt, match=f"at step {step}$"):
        train(folder, output, config, "cpu", quiet, validate_every=8)
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    load_dae(output)
    lines: list[str] = []
    run(folder, output, lines.append, network=network)
    assert any(f"resumed at step {step} " in line for line in lines)
    assert_same(straight, output)


def test_a_second_ctrl_c_ends_a_run_at_once(folder, tmp_path, ctrl_c, monkeypatch):
    def interrupted(*_: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        run(folder, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_there_are_lines_of_progress_between_validations(folder, tmp_path):
    lines: list[str] = []
    config = TrainingConfig(**{**SHORT, "steps": 3})
    train(folder, tmp_path / "net.safetensors", config, "cpu", lines.append, validate_every=2, progress_seconds=0)
    progress = [line for line in lines if line.startswith("step ")]
    assert [line.partition(":")[0] for line in progress] == ["step 1/3", "step 2/3", "step 3/3"]
    assert ["validation" in line for line in progress] == [False, True, True]


def test_a_finished_run_can_go_on(folder, tmp_path):
    output = tmp_path / "net.safetensors"
    before = run(folder, output)
    weights = read_safetensors(output)[0]
    lines: list[str] = []
    again = run(folder, output, lines.append)
    assert again["validation"] == before["validation"]
    assert all(torch.equal(value, weights[key]) for key, value in read_safetensors(output)[0].items())
    card = run(folder, output, lines.append, steps=32)
    assert "resumed at step 24 from net.checkpoint.safetensors" in lines
    assert [entry["step"] for entry in card["validation"]] == [8, 16, 24, 32]


def test_a_run_goes_on_with_other_images(folder, tmp_path):
    """The figure of images that are easier to denoise would never be reached again."""
    easy, output, lines = tmp_path / "easy", tmp_path / "net.safetensors", []
    easy.mkdir()
    for i in range(8):
        Image.fromarray(picture(i) // 16 + np.uint8(100)).save(easy / f"{i}.png")
    first = run(easy, output)
    assert first["best_step"] == 24
    second = run(folder, output, lines.append, steps=48)
    said = [line for line in lines if line.startswith("other images are held out than before")]
    assert len(said) == 1 and "the best weights, of step 24, have " in said[0]
    assert second["best_step"] > 24
    lines.clear()
    run(folder, output, lines.append, steps=50)
    assert not any(line.startswith("other images") for line in lines)


@pytest.mark.parametrize("state", ["missing", "older", "damaged"])
def test_a_finished_run_writes_weights_that_lag_behind_its_checkpoint(folder, tmp_path, state):
    """As after a stop between the last checkpoint and the weights."""
    output = tmp_path / "net.safetensors"
    run(folder, output, steps=1)
    older = output.read_bytes()
    run(folder, output, steps=2)
    wanted, card = read_safetensors(output)[0], read_card(output)
    whole = output.read_bytes()
    output.unlink()
    if state != "missing":
        output.write_bytes(older if state == "older" else whole[:-1])
    lines: list[str] = []
    run(folder, output, lines.append, steps=2)
    assert lines[-1] == f"wrote {output}"
    assert read_card(output) == card
    assert all(torch.equal(value, wanted[key]) for key, value in read_safetensors(output)[0].items())
    run(folder, output, lines.append, steps=2)
    assert lines[-1] == f"{output} is finished; more steps go on from it"


def test_fewer_steps_than_were_done_are_refused(folder, tmp_path):
    output = tmp_path / "net.safetensors"
    run(folder, output, steps=2)
    before = output.read_bytes()
    with pytest.raises(ValueError, match=r"^steps: got 1; .*net\.checkpoint\.safetensors has reached step 2 already"):
        run(folder, output, steps=1)
    assert output.read_bytes() == before


@pytest.mark.parametrize("change", [{"batch": 5}, {"seed": 1}, {"network": UNET}], ids=str)
def test_a_run_does_not_go_on_with_other_settings(folder, tmp_path, change):
    output = tmp_path / "net.safetensors"
    run(folder, output, steps=1)
    with pytest.raises(ValueError, match=f"another {next(iter(change))}"):
        run(folder, output, **change)


@pytest.mark.parametrize(
    "damage",
    ["truncated", "format", "state", "step", "tensor missing", "tensor misshapen", "tensor not finite", "no state"],
)
def test_a_damaged_checkpoint_is_refused(folder, tmp_path, damage):
    output = tmp_path / "net.safetensors"
    run(folder, output, steps=1)
    checkpoint = tmp_path / "net.checkpoint.safetensors"
    tensors, metadata = read_safetensors(checkpoint)
    key = next(k for k in tensors if k.startswith("optimizer.exp_avg."))
    if damage == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    else:
        if damage == "format":
            metadata["format"] = "another"
        elif damage == "state":
            metadata["state"] = "{}"
        elif damage == "step":
            metadata["state"] = metadata["state"].replace('"step": 1', '"step": -1')
        elif damage == "no state":
            del metadata["state"]
        elif damage == "tensor missing":
            del tensors[key]
        elif damage == "tensor not finite":
            tensors[key] = torch.full_like(tensors[key], torch.nan)
        else:
            tensors[key] = torch.zeros(1)
        save_file(tensors, checkpoint, metadata)
    with pytest.raises(ValueError, match=r"checkpoint"):
        run(folder, output)


def test_numbers_that_are_no_longer_finite_stop_the_run_and_spare_the_checkpoint(folder, tmp_path, monkeypatch):
    output, checkpoint = tmp_path / "net.safetensors", tmp_path / "net.checkpoint.safetensors"
    run(folder, output, steps=2)
    finished, good = output.read_bytes(), checkpoint.read_bytes()

    def explode(parameters: Any, *_: Any) -> None:
        for p in parameters:
            p.grad.fill_(math.nan)

    monkeypatch.setattr("torch.nn.utils.clip_grad_norm_", explode)
    with pytest.raises(FloatingPointError, match="learning_rate"):
        run(folder, output, steps=10)
    assert checkpoint.read_bytes() == good
    assert output.read_bytes() == finished
