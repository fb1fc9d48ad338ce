"""``benchmarks/blind_refinement.py``: what is measured, and that it is measured once."""

import sys

import blind_refinement
import pytest
import torch
from blind_cases import BlindCase

from daep_prior.blind import FoundBlur


@pytest.fixture
def crop(monkeypatch):
    """One crop, whose kernel is found as a pixel beside a true trail of three."""
    sharp = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    trail = torch.zeros(3, 3)
    trail[1] = 1 / 3
    case = BlindCase("training 3 motion", sharp, sharp.clone(), trail)
    asked = []

    def found(*_):
        asked.append(case)
        return FoundBlur(torch.ones(1, 1), 0.9, "found", [])

    monkeypatch.setattr(blind_refinement, "crops", lambda data: [case])
    monkeypatch.setattr(blind_refinement, "data_folder", lambda given: given)
    monkeypatch.setattr(blind_refinement, "find_blur", found)
    monkeypatch.setattr(blind_refinement, "refined", lambda *_: trail)
    monkeypatch.setattr(blind_refinement, "deblurred", lambda y, kernel, *_: y + 0.1 / kernel.numel())
    return asked


def test_both_error_ratios_are_written_once(crop, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["blind_refinement.py", "--results", str(tmp_path)])
    blind_refinement.main()
    blind_refinement.main()
    head, row = (tmp_path / "blind-refinement.csv").read_text().splitlines()
    values = dict(zip(head.split(","), row.split(","), strict=False))
    assert len(crop) == 1 and row.endswith(",1.00,True")
    assert "error ratio" in head and values["case"] == "training 3 motion"
