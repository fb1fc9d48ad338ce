"""The paper's tables as data, and the methods in them."""

import pytest
import torch
from protocol import noisy, reduced
from reproduction import published, studies, summary
from reproduction.methods import METHODS, build, restore


def test_every_prefix_of_levins_cases_is_balanced():
    order = studies.LEVIN
    assert len(set(order)) == 32
    for i in range(0, 32, 4):
        assert {image for image, _ in order[i : i + 4]} == {1, 2, 3, 4}
    for i in range(0, 32, 8):
        assert {kernel for _, kernel in order[i : i + 8]} == set(range(1, 9))


def test_every_kodak_image_is_in_figure_6():
    assert sorted(studies.KODAK) == list(range(1, 25))


def test_every_method_and_rival_of_a_study_exists():
    for study in studies.STUDIES.values():
        assert set(study.methods) <= set(METHODS)
        assert {METHODS[name].rival for name in study.methods} - {None} <= set(study.methods)


def test_the_published_psnr_beside_the_authors_network_is_that_of_the_paper():
    cell = studies.STUDIES["table3"].cells[0]
    assert summary.published_psnr(cell, "authors") == published.LEVIN[2.55]["DAEP"] == 32.69
    assert summary.published_psnr(cell, "dae") is None
    other = studies.STUDIES["figure7"].cells[0]
    assert summary.published_psnr(other, "authors") is None, "another image than the paper's"


def test_bicubic_and_the_measurement_are_the_baselines(data):
    cpu = torch.device("cpu")
    small = reduced(data / "set5" / "bird.png", 3)
    assert restore(METHODS["bicubic"], small, data, cpu).shape == small.clean.shape
    assert small.psnr(restore(METHODS["bicubic"], small, data, cpu)) > 15
    whole = noisy(data / "set5" / "bird.png", 0.1)
    assert restore(METHODS["measurement"], whole, data, cpu) is whole.measurement


@pytest.mark.parametrize(
    ("method", "preset", "noise"),
    [("dae-sigma25", "paper", "fresh"), ("dae-sigma25-still", "paper", "none"), ("dae", "annealed", "fresh")],
)
def test_a_method_is_the_preset_it_is_labelled_as(data, method, preset, noise):
    cpu = torch.device("cpu")
    model = build(METHODS[method], noisy(data / "set5" / "bird.png", 0.1), data, cpu)
    assert (model.preset, model.prior.noise) == (preset, noise)
    small = build(METHODS[method], reduced(data / "set5" / "bird.png", 2), data, cpu)
    assert small.preset == ("paper-sr" if preset == "paper" else preset)
