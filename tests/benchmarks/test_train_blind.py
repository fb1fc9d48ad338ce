"""``benchmarks/train_blind.py``: random kernels, wrong kernels, and the network that is trained on them."""

import math
import sys

import numpy as np
import pytest
import random_kernels
import torch
import train_blind
import wrong_kernels
from PIL import Image
from random_kernels import random_kernel
from skimage import data
from wrong_kernels import CROP, SIDE, Chain, crop, damaged

from daep_prior import load_dae, save_dae
from daep_prior.blind import similarity
from daep_prior.blind.kernel_step import kernel_step
from daep_prior.networks import UNetDAE
from daep_prior.pretrained import read_card

IMAGE = data.camera()


def rng(seed=0):
    return np.random.default_rng(seed)


def picture():
    return torch.from_numpy(IMAGE[150 : 150 + CROP, 150 : 150 + CROP].copy()).float()[None, None] / 255


def shifted(x, down, right):
    """``x`` moved periodically by parts of a pixel."""
    rows, columns = torch.fft.fftfreq(CROP)[:, None], torch.fft.rfftfreq(CROP)
    phase = torch.exp(-2j * math.pi * (down * rows + right * columns))
    return torch.fft.irfft2(torch.fft.rfft2(x) * phase, s=(CROP, CROP))


def test_a_kernel_is_not_negative_has_peak_1_and_is_a_function_of_its_seed():
    for seed in range(40):
        kernel = random_kernel(rng(seed))
        assert kernel.shape == (64, 64) and kernel.dtype == np.float32
        assert kernel.min() >= 0 and kernel.max() == 1 and kernel[kernel > 0].min() > 1e-8
        np.testing.assert_array_equal(kernel, random_kernel(rng(seed)))


@pytest.mark.parametrize("kind", [k for k in random_kernels.KINDS if k is not random_kernels.gaussian])
def test_a_kernel_lies_inside_its_array_around_the_middle(kind):
    for seed in range(12):
        kernel = kind(rng(seed))
        assert kernel.min() >= 0
        assert kernel[1:-1, 1:-1].sum() == pytest.approx(kernel.sum())
        covered = np.argwhere(kernel > 0)
        assert (covered.min(0) <= 33).all() and (covered.max(0) >= 31).all()


def test_each_kind_is_drawn_and_some_kernels_are_composed_of_two(monkeypatch):
    drawn = []

    def recording(kind):
        def draw(generator):
            drawn[-1].append(kind.__name__)
            return kind(generator)

        return draw

    monkeypatch.setattr(random_kernels, "KINDS", tuple(map(recording, random_kernels.KINDS)))
    generator = rng()
    for _ in range(100):
        drawn.append([])
        random_kernel(generator)
    assert {names[0] for names in drawn} == {"trail", "walk", "line", "aperture", "gaussian"}
    assert 3 <= sum(len(names) == 2 for names in drawn) <= 25


def test_the_centre_of_a_line_and_an_aperture_lies_at_the_middle():
    for kind in (random_kernels.line, random_kernels.aperture):
        kernel = kind(rng(3))
        middle = [(kernel.sum(1 - axis) * np.arange(64)).sum() / kernel.sum() for axis in (0, 1)]
        assert middle == pytest.approx([32, 32], abs=0.6)


def test_a_damaged_kernel_is_not_negative_and_not_empty():
    generator = rng()
    kernel = wrong_kernels.blur_kernel(generator)
    wrong = [damaged(kernel, generator) for _ in range(60)]
    for one in wrong:
        assert one.shape == (SIDE, SIDE) and one.min() >= 0
        assert float(one.sum()) == pytest.approx(1, abs=1e-5)
    same = [torch.allclose(one, kernel) for one in wrong]
    assert any(same) and not all(same)


@pytest.mark.parametrize(("share", "damage"), wrong_kernels.DAMAGES)
def test_each_damage_changes_a_kernel_and_keeps_its_place(share, damage):
    generator = rng(1)
    kernel = wrong_kernels.blur_kernel(generator)
    for _ in range(5):
        wrong = damage(kernel, generator)
        assert wrong.min() >= 0 and not torch.equal(wrong, kernel)
        assert similarity(wrong, kernel) > 0.3


def test_a_damage_that_leaves_nothing_is_not_done(monkeypatch):
    monkeypatch.setattr(wrong_kernels, "UNDAMAGED", 0)
    monkeypatch.setattr(wrong_kernels, "DAMAGES", ((1.0, lambda kernel, _: 0 * kernel),))
    kernel = wrong_kernels.blur_kernel(rng())
    assert torch.allclose(damaged(kernel, rng()), kernel)


def test_a_round_with_the_true_image_brings_the_kernel_nearer_to_the_true_one(monkeypatch):
    monkeypatch.setattr(wrong_kernels, "DAMAGED_AGAIN", 0)
    monkeypatch.setattr(wrong_kernels, "UNDAMAGED", 0)
    monkeypatch.setattr(wrong_kernels, "SOFT_SHARE", 0)
    before, after = [], []
    for seed in range(4):
        generator = rng(seed)
        chain = Chain.restarted([IMAGE], generator)
        before.append(similarity(chain.kernel, chain.true_kernel))
        chain.advance(chain.sharp, generator)
        after.append(similarity(chain.kernel, chain.true_kernel))
        assert chain.age == 1 and chain.kernel.min() >= 0
        assert float(chain.kernel.sum()) == pytest.approx(1, abs=1e-5)
    assert min(before) < 0.95 and min(after) > 0.98 and sum(after) > sum(before)


def test_the_true_kernel_of_the_true_image_stays_because_its_seam_is_an_edge_like_others():
    x = picture() + torch.linspace(0, 1, CROP)
    kernel = torch.zeros(SIDE, SIDE)
    kernel[22, 18:27] = 1 / 9
    y = wrong_kernels.convolved(wrong_kernels.transfer(kernel, (CROP, CROP)), x)
    found = wrong_kernels._kernel_step(x, y, kernel, 0.0)
    assert float((found - kernel).abs().sum()) < 1e-3
    without_seam = kernel_step(x, y, torch.ones_like(y), kernel, 0.0, wrong_kernels.ITERATIONS)
    assert float((without_seam - kernel).abs().sum()) > 0.01


@pytest.mark.parametrize(("down", "right"), [(1.3, -2.6), (-0.25, 0.4), (7.0, 0.0)])
def test_the_target_is_shifted_with_the_output(down, right):
    x = picture()
    output = shifted(x, down, right)
    target = train_blind.moved_onto(x, output)
    assert float((target - output).abs().mean()) < 0.01 < float((x - output).abs().mean())
    level = torch.tensor([0.1])  # the peak of a parabola lies up to 0.1 pixels beside that of the correlation
    assert train_blind.loss(output, target, level) < 0.15 * train_blind.loss(output, x, level)


def test_an_output_in_place_has_loss_0_and_one_far_away_has_no_target():
    x = picture()
    assert train_blind.moved_onto(x, x) is x
    assert float(train_blind.loss(x, x, torch.tensor([0.1]))) == 0
    assert train_blind.moved_onto(x, shifted(x, 0, 12.0)) is None


def test_the_loss_is_that_of_its_formula():
    x = torch.zeros(2, 1, CROP, CROP)
    ramp = (0.01 * torch.arange(CROP)).expand(2, 1, CROP, CROP)
    inner = 0.01 * torch.arange(10, CROP - 10)
    expected = float((inner.square().mean() + 4 * 0.01**2) / (0.1 + 0.02))
    assert train_blind.loss(ramp, x, torch.tensor([0.1, 0.1])).tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_the_learning_rate_warms_up_and_falls_to_the_end():
    rates = [train_blind.learning_rate(step, 1000) for step in range(1000)]
    assert rates[0] == pytest.approx(4e-6) and max(rates) == pytest.approx(2.94e-4, rel=0.01)
    assert rates.index(max(rates)) in (98, 99, 100) and rates[-1] < 2e-6


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder with two photographs, and a small network, small batches and few chains."""
    (tmp_path / "train" / "some").mkdir(parents=True)
    for number in (0, 1):
        Image.fromarray(IMAGE[:170, 100 * number : 100 * number + 200]).save(
            tmp_path / "train" / "some" / f"{number}.jpg"
        )
    torch.manual_seed(0)
    save_dae(UNetDAE(widths=(4, 8), blocks=1), tmp_path / "small.safetensors")
    monkeypatch.setattr(train_blind, "POOL", 3)
    monkeypatch.setattr(train_blind, "BATCH", 2)
    return tmp_path


def trained(monkeypatch, folder, *more):
    command = ["train_blind.py", "--data", str(folder), "--init", str(folder / "small.safetensors")]
    monkeypatch.setattr(sys, "argv", [*command, "--out", str(folder / "net.safetensors"), *more])
    train_blind.main()


def weights(path):
    return torch.cat([p.flatten() for p in load_dae(path).parameters()])


def test_two_steps_write_a_network_that_differs_from_the_first_weights(folder, monkeypatch, capsys):
    trained(monkeypatch, folder, "--steps", "2")
    new, start = (weights(folder / f"{name}.safetensors") for name in ("net", "small"))
    assert 0 < float((new - start).abs().max()) < 0.01
    card = read_card(folder / "net.safetensors")
    assert card["step"] == 2 and card["config"]["network"]["widths"] == [4, 8]
    assert "step 2: loss" in capsys.readouterr().out
    trained(monkeypatch, folder, "--steps", "3", "--resume")
    assert [line["step"] for line in read_card(folder / "net.safetensors")["training_loss"]] == [2, 3]
    assert not torch.equal(weights(folder / "net.safetensors"), new)


def test_a_resumed_run_has_the_weights_averages_and_optimizer_of_the_checkpoint(folder, monkeypatch):
    images = train_blind.training_images(folder / "train")
    first = train_blind.Training(str(folder / "small.safetensors"), images, 0)
    first.run(2, folder / "net.safetensors")
    again = train_blind.Training(str(folder / "small.safetensors"), images, 0)
    again.resume(folder / "net.safetensors")
    assert again.step == 2 and again.history == first.history
    for name, value in first._tensors().items():
        assert torch.equal(value, again._tensors()[name]), name
    other = train_blind.Training(str(folder / "small.safetensors"), images, 1)
    with pytest.raises(ValueError, match="another --init or --seed"):
        other.resume(folder / "net.safetensors")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--steps", "0"), "--steps 0: expected at least 1"),
        (("--steps", "2", "--seed", "-1"), "--seed -1: expected at least 0"),
        (("--steps", "2", "--out", "net.pt"), "ends in .safetensors"),
        (("--steps", "2", "--out", "nowhere/net.safetensors"), "the folder nowhere does not exist"),
        (("--steps", "2", "--resume"), "there is no checkpoint"),
        (("--steps", "2", "--init", "dae-sigma25"), "expected a noise-conditional network"),
        (("--steps", "2", "--init", "no-such"), "no-such"),
    ],
)
def test_bad_arguments_get_one_sentence(folder, monkeypatch, more, sentence):
    with pytest.raises(SystemExit) as refused:
        trained(monkeypatch, folder, *more)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_a_network_that_exists_is_not_overwritten_and_a_folder_needs_photographs(folder, monkeypatch):
    (folder / "net.safetensors").write_bytes(b"kept")
    with pytest.raises(SystemExit, match="give --resume to go on, or another file"):
        trained(monkeypatch, folder, "--steps", "2")
    assert (folder / "net.safetensors").read_bytes() == b"kept"
    with pytest.raises(ValueError, match="160 x 160 pixels"):
        train_blind.training_images(folder)


def test_half_of_the_crops_are_soft():
    stripes = np.tile(np.array([0, 0, 255, 255], np.uint8), (CROP, CROP // 4))
    steps = [float((x[..., 1:] - x[..., :-1]).abs().max()) for x in (crop([stripes], rng(n)) for n in range(40))]
    assert 10 <= sum(step > 0.99 for step in steps) <= 30
