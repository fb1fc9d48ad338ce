"""A network adapted to other channels, and the training that starts from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from daep_prior import load_dae
from daep_prior.networks import DAE, ConvDAE, UNetDAE, with_channels
from daep_prior.pretrained import read_card, read_training_form, save_dae
from daep_prior.training import TrainingConfig, TrainingImage, train
from daep_prior.training.blur import randomly_blurred
from daep_prior.training.loop import _held_out
from daep_prior.training.run import TrainingRun

UNET = UNetDAE(widths=(6, 8), blocks=1, sigma_range=(0.0, 0.2))
SHORT: dict[str, Any] = {"steps": 4, "batch": 2, "crop": 16, "validation_images": 2, "warmup": 1}


def quiet(_: str) -> None:
    pass


def frozen(dae: DAE) -> DAE:
    return dae.double().eval().requires_grad_(False)


@pytest.mark.parametrize("name", ["dae", "dae-sigma25"])
def test_a_grey_network_starts_as_the_colour_network_that_sees_grey(name):
    colour = frozen(read_training_form(name))
    grey = frozen(with_channels(colour, 1))
    x = torch.rand(2, 1, 24, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for level in (0.05, torch.tensor([0.1, 0.2], dtype=torch.float64)):
        torch.testing.assert_close(grey(x, level), colour(x, level), atol=1e-12, rtol=0)


@pytest.mark.parametrize("source", [UNET, ConvDAE(depth=3, width=4)], ids=["unet", "conv"])
def test_the_same_number_of_channels_is_the_same_network(source):
    weights = with_channels(source, 3).state_dict()
    assert all(torch.equal(weights[name], value) for name, value in source.state_dict().items())


@pytest.mark.parametrize("channels", [2, 5, 6])
def test_other_numbers_of_channels_remove_noise_from_the_start(channels):
    """Equal channels lose as much noise as in the channels that the old network saw."""
    network = with_channels(read_training_form("dae"), channels).eval().requires_grad_(False)
    y, x = np.mgrid[:48, :48] / 48
    clean = torch.from_numpy(np.sin(5 * x + 3 * y) / 4 + 0.5).float().expand(1, channels, 48, 48)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    error = (network(noisy, 0.1) - clean).square().mean() / 0.01
    assert error < 1 - 0.9 * min(channels, 3) / channels + 0.05  # three combinations of the channels are denoised


def test_a_run_starts_from_another_number_of_channels_and_level_but_no_other_network(tmp_path):
    source, output = tmp_path / "source.safetensors", tmp_path / "net.safetensors"
    save_dae(UNET, source)
    grey = UNetDAE(widths=(6, 8), blocks=1, sigma_range=(0.0, 0.1), channels=1)
    images = [np.random.default_rng(i).uniform(size=(20, 20)) for i in range(5)]
    card = train(images, output, TrainingConfig(network=grey.config(), **SHORT), "cpu", quiet, start_from=source)
    assert load_dae(output).in_channels == 1
    assert [entry["step"] for entry in card["validation"]] == [0, 4]
    other = TrainingConfig(network=UNetDAE(widths=(6,), blocks=1).config(), **SHORT)
    with pytest.raises(ValueError, match="start_from"):
        train(images, tmp_path / "other.safetensors", other, "cpu", quiet, start_from=source)


def test_the_best_validated_weights_are_kept_also_over_an_interruption(tmp_path):
    """A learning rate that ruins the network after its start."""
    source, output = tmp_path / "source.safetensors", tmp_path / "net.safetensors"
    save_dae(UNET, source)
    config = TrainingConfig(network=UNET.config(), **SHORT | {"learning_rate": 1.0, "muon_learning_rate": 1.0})
    images = [np.random.default_rng(i).uniform(size=(20, 20, 3)) for i in range(5)]

    def stop(line: str) -> None:
        if line.startswith("step 2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(images, output, config, "cpu", stop, 0, 1, start_from=source)
    card = train(images, output, config, "cpu", quiet, 0, 1, start_from=source)
    psnr = [sum(v for k, v in entry.items() if k not in ("step", "loss")) for entry in card["validation"]]
    assert len(psnr) == 5 and psnr[0] == max(psnr)
    assert read_card(output)["best_step"] == 0
    kept = read_training_form(output).state_dict()
    assert all(torch.equal(kept[name], value) for name, value in UNET.state_dict().items())


def test_images_of_one_file_are_not_both_trained_on_and_validated():
    def images(*files: str | None) -> list[TrainingImage]:
        return [TrainingImage(np.zeros((20, 20, 1)), source=file) for file in files]

    config = TrainingConfig(**SHORT)
    training, held_out = _held_out(images(*"aaabbbcccddd"), config, quiet)
    assert len(held_out) == 2 and len(training) == 9
    assert not {image.source for image in training} & {image.source for image in held_out}
    one_stack = images(*"a" * 9)
    training, held_out = _held_out(one_stack, config, quiet)
    assert training + held_out == one_stack and len(held_out) == 2
    training, held_out = _held_out(images(*[None] * 9), config, quiet)
    assert (len(training), len(held_out)) == (7, 2)


@pytest.mark.parametrize(("images", "held"), [(13, 3), (20, 5), (48, 12), (200, 12)])
def test_of_few_images_at_most_a_quarter_is_held_out(images: int, held: int):
    given = [TrainingImage(np.zeros((20, 20, 1))) for _ in range(images)]
    training, held_out = _held_out(given, TrainingConfig(), quiet)
    assert (len(training), len(held_out)) == (images - held, held)
    training, held_out = _held_out(given[:3], TrainingConfig(**SHORT), quiet)
    assert (len(training), len(held_out)) == (2, 1)


def test_random_blur_keeps_the_light_and_is_gaussian():
    crops = torch.zeros(64, 2, 25, 25)
    crops[:, :, 12, 12] = 1
    blurred = randomly_blurred(crops, 1.5, torch.Generator().manual_seed(0))
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(64, 2))
    torch.testing.assert_close(blurred[:, 0], blurred[:, 1])
    offsets = torch.arange(25.0) - 12
    widths = (blurred[:, 0].sum(1) * offsets.square()).sum(1).sqrt()
    assert widths.min() < 0.2 and 1.3 < widths.max() < 1.51


def test_a_network_that_sees_blur_learns_the_sharp_image():
    """Almost without noise, the loss of a network near the identity is the difference that the blur makes."""
    pattern = torch.from_numpy(np.indices((16, 16)).sum(0) % 2).float().expand(8, 1, 16, 16)
    network = UNetDAE(widths=(4,), blocks=1, sigma_range=None, sigma=0.01, channels=1).config()
    losses = []
    for blur in (0.0, 2.0):
        run = TrainingRun(TrainingConfig(network=network, blur=blur, **SHORT), torch.device("cpu"))
        run.network.body.tail.weight.data.zero_()
        run.learn(pattern)
        losses.append(0.01**2 * run.mean_loss())
    assert losses[0] == pytest.approx(1e-4, rel=0.1)
    assert 0.1 < losses[1] < 0.25  # 0.25: nothing of the pattern is left
