"""``benchmarks/training_crops.py`` with a tiny network."""

import csv
import sys

import pytest
import training_crops
from PIL import Image
from skimage import data

from daep_prior.networks import UNetDAE
from daep_prior.pretrained import save_dae


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "train" / "set"
    images.mkdir(parents=True)
    Image.fromarray(data.astronaut()[:200, :190]).save(images / "large.jpg")
    Image.fromarray(data.astronaut()[:100, :400]).save(images / "too-flat.jpg")
    return tmp_path


def test_crops_are_of_images_that_are_large_enough_and_the_same_each_time(folder):
    (crop,) = training_crops.crops(folder / "train", 4)
    assert crop.shape == (1, 3, 180, 180)
    assert crop.equal(training_crops.crops(folder / "train", 4)[0])


@pytest.mark.parametrize("number", range(8))
def test_kernels_sum_to_one_and_stay_within_the_frame(number):
    kernel = training_crops.kernel(number)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    assert float(kernel.min()) >= 0
    assert max(kernel.shape) <= 2 * training_crops.MARGIN + 1


def test_what_has_been_measured_is_not_measured_again(folder, monkeypatch, capsys):
    save_dae(UNetDAE(widths=(4, 8), blocks=1), folder / "tiny.safetensors", {})
    arguments = ["training_crops.py", "--data", str(folder), "--denoiser", str(folder / "tiny.safetensors")]
    problems = ["blur 2.55", "blur 2.55, circular", "blur 0", "x2", "x3", "x4", "x5"]
    arguments += ["--problems", *problems]
    monkeypatch.setattr(sys, "argv", [*arguments, "--crops", "1", "--methods", "fast", "--results", str(folder)])
    training_crops.main()
    with (folder / "training_crops.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["problem"] for row in rows] == problems
    assert all(float(row["psnr"]) > 5 for row in rows)
    capsys.readouterr()
    training_crops.main()
    assert not capsys.readouterr().out
