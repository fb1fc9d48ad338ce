"""``benchmarks/blind_last_rounds.py``: what is measured, and that it is measured once."""

import sys

import blind_last_rounds
import pytest
import torch
from blind_cases import BlindCase
from PIL import Image

from daep_prior.blind import FoundBlur


class Prior:
    denoiser = sharpen = None

    def judge(self, x, width):
        return x

    def prediction_error(self, y, kernel):
        return 1 / kernel.numel()


@pytest.fixture
def asked(monkeypatch):
    """The crop whose kernel was sought; the long refinement finds the widest kernel, which predicts best."""
    sharp = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    case, asked = BlindCase("3 motion", sharp, sharp.clone(), torch.ones(3, 3) / 9), []

    def found(y, judge, settings, *_, **__):
        if settings.faint_start:
            asked.append(case)
        side = 2 if settings.faint_start else 1
        return FoundBlur(torch.ones(side, side) / side**2, 0.9, "found", [])

    def refined(y, judge, kernel, settings, sharpen):
        return torch.ones(5, 5) / 25 if settings.refined_margin > 2 else torch.ones(3, 3) / 9

    monkeypatch.setattr(blind_last_rounds, "reduced", lambda data, which: [case])
    monkeypatch.setattr(blind_last_rounds, "data_folder", lambda given: given)
    monkeypatch.setattr(blind_last_rounds, "as_blind_prior", lambda name: Prior())
    monkeypatch.setattr(blind_last_rounds, "find_blur", found)
    monkeypatch.setattr(blind_last_rounds, "refined", refined)
    monkeypatch.setattr(blind_last_rounds, "improved_kernel", lambda *_: torch.ones(7, 7) / 49)
    monkeypatch.setattr(blind_last_rounds, "deblurred", lambda y, kernel, *_: y + 0.3 / kernel.shape[0])
    return asked


def test_all_kernels_are_written_once(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["blind_last_rounds.py", "--results", str(tmp_path)])
    blind_last_rounds.main()
    blind_last_rounds.main()
    head, row = (tmp_path / "blind-last-rounds-reduced.csv").read_text().splitlines()
    values = dict(zip(head.split(","), row.split(","), strict=False))
    assert len(asked) == 1 and values["case"] == "3 motion" and values["predicts best"] == "long"
    assert "9.00,2.25,1.00,0.36,0.18" in row


@pytest.mark.parametrize(("which", "kernel", "side"), [("reduced", "shake 9", 300), ("arms", "shake 41", 282)])
def test_a_photograph_is_reduced_before_it_is_blurred(monkeypatch, tmp_path, which, kernel, side):
    Image.new("RGB", (440, 430), (10, 20, 30)).save(tmp_path / "photo.png")
    monkeypatch.setattr(blind_last_rounds, "photographs", lambda data, which: [tmp_path / "photo.png"])
    (case,) = blind_last_rounds.reduced(tmp_path, which)
    assert case.y.shape == (1, 3, side, side) and case.name == f"photo, {kernel}"


def test_a_textured_photograph_is_wide_and_every_sixteenth_is_taken(monkeypatch, tmp_path):
    (tmp_path / "train" / "bsds").mkdir(parents=True)
    for number in range(17):
        size = (321, 481) if number == 16 else (481, 321)
        Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "train" / "bsds" / f"{number:02}.jpg")
    first, second = blind_last_rounds.textured(tmp_path)
    assert (first.name, first.y.shape, first.sharp.shape) == ("00, shake 9", (1, 3, 313, 384), (1, 3, 313, 384))
    assert (second.name, second.y.shape) == ("16, motion 15", (1, 3, 307, 384))
