"""Blind confidence: the constants are those that the measured photographs choose, and hold for those held out."""

import csv
from dataclasses import replace
from pathlib import Path

import blind_confidence
import numpy as np
import pytest
import torch
from PIL import Image

from daep_deepinv import DAEPrior
from daep_prior.blind import BlindSettings
from daep_prior.blind.confidence import OFFSET, SLOPE
from daep_prior.blind.noise import less_noise, noise_level
from daep_prior.blind.several_starts import SHARP_CORE
from daep_prior.blind.sharpness import sharpness


def row(number, digits, right, verdict="found"):
    similarity, gap = ("0.99", "0.50") if right else ("0.80", "4.00")
    return {
        "case": f"{number}: trail",
        "verdict": verdict,
        "confirmed digits": f"{digits}",
        "similarity": similarity,
        "gap": gap,
        "gap of the photograph": "3.00",
    }


def test_the_constants_of_a_logistic_function_are_found():
    rng = np.random.default_rng(0)
    digits = rng.uniform(0, 2.7, 4000)
    right = rng.random(4000) < 1 / (1 + np.exp(3 - 2.5 * digits))
    rows = [row(n, d, r) for n, (d, r) in enumerate(zip(digits, right, strict=True))]
    assert blind_confidence.fitted(rows) == pytest.approx((-3, 2.5), abs=0.25)


def test_only_found_kernels_count():
    rows = [row(n, 1.0, True, "sharp" if n == 4 else "found") for n in range(7)]
    assert [one["case"][0] for one in blind_confidence.found_kernels(rows)] == ["0", "1", "2", "3", "5", "6"]


def test_a_photograph_has_no_part_in_its_own_confidence():
    rng = np.random.default_rng(1)
    rows = [row(n, d, d + rng.normal() > 1.5) for n, d in enumerate(rng.uniform(0, 2.7, 60))]
    likely = blind_confidence.cross_validated(rows)
    for number in (0, 31):
        changed = [*rows]
        changed[number] = row(number, rows[number]["confirmed digits"], rows[number]["similarity"] == "0.80")
        again = blind_confidence.cross_validated(changed)
        alike = again == likely
        assert alike.tolist() == [n % 3 == number % 3 for n in range(60)]


def test_the_table_counts_right_kernels_small_gaps_and_gains():
    rows = [row(0, 2.5, True), row(1, 2.5, True), row(2, 2.5, False), row(3, 0.1, False)]
    lines = blind_confidence.table(rows, blind_confidence.probabilities(rows, -4.0, 3.2)).splitlines()
    assert lines[2] == "| 0 to 0.5 | 1 | 0.02 | 0.00 | 0.00 | 0.00 |"
    assert lines[-1] == "| 0.95 to 1 | 3 | 0.98 | 0.67 | 0.67 | 0.67 |"


def test_a_photograph_is_the_same_each_time(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (400, 420, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    files = [tmp_path / "a.png"]
    first, again, other = (blind_confidence.photograph(n, files) for n in (5, 5, 6))
    assert torch.equal(first.y, again.y) and first.name == again.name != other.name
    assert first.sharp.shape == first.y.shape and float(first.kernel.sum()) == pytest.approx(1)


def test_the_shipped_constants_are_those_of_the_results_and_are_calibrated():
    with (Path(blind_confidence.RESULTS) / "blind-confidence.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = blind_confidence.found_kernels(rows)
    assert blind_confidence.fitted(found) == pytest.approx((OFFSET, SLOPE), abs=0.01)
    likely, right = blind_confidence.cross_validated(found), blind_confidence.is_right(found)
    assert likely.mean() == pytest.approx(right.mean(), abs=0.1)
    score, of_mean = ((likely - right) ** 2).mean(), right.mean() * (1 - right.mean())
    assert score < 0.7 * of_mean


@pytest.mark.parametrize("number", [8, 86, 91])
def test_without_its_noise_a_blurred_photograph_is_not_taken_for_a_sharp_one(data_folder, number):
    files = sorted((data_folder / "train").glob("*/*.jpg"))
    if not files:
        pytest.skip(f"needs training images, not found in {data_folder / 'train'}")
    grey, prior = blind_confidence.photograph(number, files).y.mean(1, keepdim=True), DAEPrior("dae")
    noise = noise_level(grey)
    settings = BlindSettings().for_noise(noise)
    with torch.no_grad():
        seen, clean = (
            sharpness(less_noise(grey, prior.denoise, noise, 1.0, one), prior.denoise, one)
            for one in (replace(settings, denoised_from=1.0), settings)
        )
    assert clean < SHARP_CORE <= seen
