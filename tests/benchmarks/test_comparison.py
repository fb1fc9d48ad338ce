"""``benchmarks/comparison.py`` and its measurements, on tiny images."""

import csv
import sys

import comparison
import numpy as np
import pytest
import torch
from deepinv.optim import DPIR
from deepinv.physics import BlurFFT
from measurements import MEASUREMENTS, Measurement, measure, restore
from PIL import Image
from skimage import data

from daep_deepinv import DAEDenoiser
from daep_prior.networks import UNetDAE
from daep_prior.pretrained import save_dae


@pytest.fixture
def clean():
    return torch.from_numpy(data.astronaut()[60:108, 200:248].copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture
def kernel():
    k = np.zeros((5, 7))
    k[2, 1:6] = 0.2
    return k


def residual(case):
    return case.measurement - case.physics.A(case.clean)


def test_the_noise_has_the_stated_level(clean, kernel):
    for name, how in MEASUREMENTS.items():
        case = measure(clean, 1, kernel, how)
        assert case.sigma == pytest.approx(how.assumed / 255)
        rms = 255 * float(residual(case).square().mean().sqrt())
        if how.turned or how.jpeg:
            assert rms > how.noise / 2, name
        else:
            assert rms == pytest.approx(how.noise, rel=0.1), name


def test_noise_of_each_kind_is_shared_or_correlated_as_its_name_says(clean, kernel):
    grey = residual(measure(clean, 1, kernel, Measurement(10, 10, "grey")))
    assert torch.allclose(grey[:, 0], grey[:, 2], atol=1e-6)
    coloured = residual(measure(clean, 1, kernel, Measurement(10, 10)))
    assert not torch.allclose(coloured[:, 0], coloured[:, 2], atol=1e-2)

    def neighbours(field):
        return float((field[..., 1:] * field[..., :-1]).mean() / field.square().mean())

    correlated = residual(measure(clean, 1, kernel, Measurement(10, 10, "correlated")))
    assert neighbours(correlated) == pytest.approx(2 / 3, abs=0.1)
    assert abs(neighbours(coloured)) < 0.1


def test_a_turned_kernel_is_not_the_assumed_one(clean, kernel):
    turned = measure(clean, 1, kernel, Measurement(0, 2.55, turned=10.0))
    straight = measure(clean, 1, kernel, Measurement(0, 2.55))
    assert residual(straight).abs().max() < 1e-6
    assert residual(turned).abs().max() > 1e-3
    assert turned.measurement.mean() == pytest.approx(float(straight.measurement.mean()), rel=0.02)


def test_with_circular_borders_every_pixel_is_measured_and_counts(clean, kernel):
    case = measure(clean, 1, kernel, MEASUREMENTS["2.55, circular"])
    assert isinstance(case.physics, BlurFFT) and case.measurement.shape == clean.shape
    corner = case.clean.clone()
    corner[..., 0, 0] += 0.5
    assert case.psnr(corner) < 60 < case.psnr(case.clean)
    assert residual(case).square().mean().sqrt() * 255 == pytest.approx(2.55, rel=0.1)


def test_dpir_is_that_of_deepinv_with_the_given_network(clean, kernel):
    case = measure(clean, 1, kernel, MEASUREMENTS["7.65, circular"])
    network = DAEDenoiser(UNetDAE(widths=(4, 8), blocks=1).requires_grad_(False))
    assert restore("dpir", case, network).equal(DPIR(7.65 / 255, network)(case.measurement, case.physics))


def test_every_kernel_comes_once_before_any_comes_twice():
    assert sorted(comparison.ORDER) == list(range(1, 25))
    for turn in range(3):
        assert {(n - 1) % 8 for n in comparison.ORDER[8 * turn : 8 * turn + 8]} == set(range(8))


def test_a_run_continues_where_it_stopped_and_averages_the_images_of_all_methods(tmp_path, monkeypatch, kernel, capsys):
    (tmp_path / "kodak24").mkdir()
    (tmp_path / "kernels").mkdir()
    for n in (1, 10):
        Image.fromarray(data.astronaut()[n : n + 140, :140]).save(tmp_path / "kodak24" / f"kodim{n:02d}.png")
    np.savez(tmp_path / "kernels" / "levin.npz", **{f"k{i}": kernel for i in range(1, 9)})
    save_dae(UNetDAE(widths=(4, 8), blocks=1), tmp_path / "tiny.safetensors", {})
    arguments = ["comparison.py", "--data", str(tmp_path), "--denoiser", str(tmp_path / "tiny.safetensors")]
    arguments += ["--size", "32", "--results", str(tmp_path), "--measurements", "2.55"]
    used = []
    monkeypatch.setattr(comparison, "measure", lambda clean, n, k, how: used.append(k) or measure(clean, n, k, how))
    monkeypatch.setattr(sys, "argv", [*arguments, "--images", "2", "--methods", "fast"])
    comparison.main()
    assert all(np.array_equal(k, kernel) for k in used)
    monkeypatch.setattr(sys, "argv", [*arguments, "--images", "1", "--methods", "fast,pnp-hqs"])
    capsys.readouterr()
    comparison.main()
    assert "fast" not in capsys.readouterr().out  # it has been measured
    with (tmp_path / "comparison.csv").open(newline="") as file:
        alone, row = csv.DictReader(file)
    assert alone["images"] == "2" and alone["pnp-hqs psnr"] == ""
    assert row["measurement"] == "2.55" and row["images"] == "1"
    assert float(row["fast psnr"]) > 0 and float(row["pnp-hqs psnr"]) > 0
    head, _, _, line = (tmp_path / "comparison.md").read_text().splitlines()
    assert head == "| noise, of 255 (images) | fast | pnp-hqs |"
    best = max(row["fast psnr"], row["pnp-hqs psnr"], key=float)
    assert line.startswith("| 2.55, as assumed (1) |") and f"**{best}**" in line


def test_rows_of_random_kernels_have_kernels_of_their_own(tmp_path, monkeypatch, kernel):
    (tmp_path / "kodak24").mkdir()
    (tmp_path / "kernels").mkdir()
    Image.fromarray(data.astronaut()[:140, :140]).save(tmp_path / "kodak24" / "kodim01.png")
    np.savez(tmp_path / "kernels" / "levin.npz", **{f"k{i}": kernel for i in range(1, 9)})
    save_dae(UNetDAE(widths=(4, 8), blocks=1), tmp_path / "tiny.safetensors", {})
    used = []
    monkeypatch.setattr(comparison, "measure", lambda clean, n, k, how: used.append(k) or measure(clean, n, k, how))
    arguments = ["comparison.py", "--data", str(tmp_path), "--denoiser", str(tmp_path / "tiny.safetensors")]
    arguments += ["--size", "32", "--results", str(tmp_path), "--images", "1", "--methods", "dpir"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--measurements", "2.55, circular", "2.55, circular, random kernels"])
    comparison.main()
    assert np.array_equal(used[0], kernel) and used[1].shape != kernel.shape
    with (tmp_path / "comparison.csv").open(newline="") as file:
        assert [row["measurement"] for row in csv.DictReader(file)] == [
            "2.55, circular",
            "2.55, circular, random kernels",
        ]
