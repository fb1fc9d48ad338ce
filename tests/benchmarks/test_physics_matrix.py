"""``benchmarks/physics_matrix.py``: the rows, the noise, the verdicts and the table."""

import csv
import inspect
import sys
from pathlib import Path

import physics_matrix
import physics_matrix_methods as methods
import physics_matrix_operators as operators
import physics_matrix_page as page
import pytest
import torch
from deepinv import physics as dp
from deepinv.utils import TensorList
from physics_matrix_images import KINDS, image

from daep_deepinv import DAEP

#: Classes without a row: bases, and what needs a package that deepinv does not bring.
WITHOUT_ROW = {
    "Physics", "ComposedPhysics", "ComposedLinearPhysics", "StackedPhysics", "StackedLinearPhysics", "PhaseRetrieval",
    "PhysicsMultiScaler", "BlurMultiScaler", "BlurFFTMultiScaler", "InpaintingMultiScaler",
    "PET", "TomographyWithAstra", "NonCartesianMRI",
}  # fmt: skip


def test_every_class_of_deepinv_has_a_row():
    classes = {n for n, c in vars(dp).items() if inspect.isclass(c) and issubclass(c, dp.Physics)}
    source = Path(operators.__file__).read_text()
    assert {n for n in classes - WITHOUT_ROW if f"dp.{n}(" not in source} == set()


def test_rows_have_different_names_and_known_kinds_and_noises():
    rows = physics_matrix.rows()
    names = [(o.name, noise, kind) for o, noise, kind in rows]
    assert len(names) == len(set(names)) > 130
    assert {kind for _, _, kind in names} <= set(KINDS)


def test_parts_are_all_the_rows_and_each_once():
    rows = physics_matrix.rows("gaussian")
    assert sorted(map(str, rows)) == sorted(str(r) for k in (1, 2, 3) for r in physics_matrix.rows("gaussian", (k, 3)))


def test_page_keeps_the_rows_of_operators_whose_package_is_not_installed(monkeypatch):
    pages = []
    monkeypatch.setattr(physics_matrix, "write_page", lambda path, rows, total: pages.append((len(rows), total)))
    monkeypatch.setattr(sys, "argv", ["physics_matrix.py", "--page"])
    for installed in (True, False):
        monkeypatch.setattr(physics_matrix, "available", lambda operator, installed=installed: installed)
        physics_matrix.main()
    (with_all, total), (with_none, known) = pages
    assert with_all == with_none == known > 130 and total >= known


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_the_same_each_time(kind):
    one, two = (operators.parts(image(kind, 16)) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("noise", [n for n in operators.MANY if n not in ("zero", "salt and pepper")])
def test_all_noise_has_the_stated_strength(noise):
    x = image("grey")
    physics = dp.Denoising()
    torch.manual_seed(0)
    assert operators.add_noise(physics, x, noise)
    level = operators.true_level(physics, x, physics(x)) / operators.rms(x)
    twice = noise in ("poisson", "poisson-gaussian", "gamma")
    assert 0.7 < level / (operators.STRENGTH * (2 if twice else 1)) < 2


def test_values_below_zero_have_no_poisson_noise():
    assert not operators.add_noise(dp.Denoising(), image("complex") - 1, "poisson")


def test_unlike_noise_of_a_stack():
    x = image("grey")
    physics = dp.stack(dp.Denoising(), dp.Denoising())
    assert operators.add_noise(physics, x, "unlike")
    first, second = (float(part.noise_model.sigma) for part in physics.physics_list)
    assert second == pytest.approx(5 * first)


@pytest.mark.parametrize(
    ("sigma", "peer", "word"), [(30.0, 29.0, "better"), (30.0, 30.1, "level"), (30.0, 31.0, "worse")]
)
def test_verdict_is_against_the_best_peer(sigma, peer, word):
    outcomes = dict.fromkeys(methods.PEERS, methods.Outcome(None, 0.0))
    outcomes |= {"stated": methods.Outcome(sigma, 0.0), "pnp": methods.Outcome(peer, 0.0)}
    assert physics_matrix.verdict(outcomes) == word


def test_a_refusal_is_told_from_a_failure():
    x = image("grey", 16)
    physics = dp.Denoising(dp.GaussianNoise(0.1))
    problem = methods.Problem(x, physics(x), physics, 0.1)

    def refusing(problem, network):
        yield DAEP(sigma=-1.0)

    def failing(problem, network):
        yield [][0]

    refused, failed = (methods.measured(run, problem, None) for run in (refusing, failing))
    assert (refused.psnr, refused.refused, failed.psnr, failed.refused) == (None, True, None, False)
    assert failed.error.startswith("IndexError")


def test_a_phase_and_an_offset_do_not_count():
    x = image("complex numbers", 16)
    turned = x * torch.polar(torch.ones(()), torch.ones(()))
    assert methods.Problem(x, None, None, 0.0, "phase").psnr(turned) == methods.HIGHEST
    grey = image("grey", 16)
    assert methods.Problem(grey, None, None, 0.0, "offset").psnr(grey + 3) == methods.HIGHEST
    assert methods.Problem(grey, None, None, 0.0).psnr(grey + 0.1) == pytest.approx(20, abs=0.01)


def test_the_border_does_not_count():
    grey = image("grey", 16)
    other = grey.clone()
    other[..., 0, :] = 5
    assert methods.Problem(grey, None, None, 0.0, border=2).psnr(other) == methods.HIGHEST


@pytest.mark.parametrize("kind", ["grey", "colour", "complex", "complex numbers", "spectral", "volume", "film"])
def test_the_network_takes_any_channels(kind):
    class Half(torch.nn.Module):
        def forward(self, x, sigma):
            assert x.ndim == 4
            assert x.shape[1] in (1, 3)
            return x / 2

    x = image(kind, 16)
    assert methods.AnyChannels(Half())(x, 0.1).equal(x / 2)


@pytest.fixture
def quick(monkeypatch):
    """One method of ours and one peer, both the adjoint; how often they ran."""
    ran = []

    def adjoint(problem, network):
        ran.append(problem)
        yield problem.physics.A_adjoint(problem.y)

    def nothing(problem, network):
        yield from ()

    ours = {name: adjoint if name == "stated" else nothing for name in methods.OURS}
    peers = {name: adjoint if name == "inverse" else nothing for name in methods.PEERS}
    monkeypatch.setattr(physics_matrix, "OURS", ours)
    monkeypatch.setattr(physics_matrix, "PEERS", peers)
    return ran


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["physics_matrix.py", *arguments])
    physics_matrix.main()


def test_what_has_been_measured_is_measured_again_only_on_request(quick, tmp_path, monkeypatch, capsys):
    file = str(tmp_path / "rows.csv")
    chosen = ["--results", file, "--only", "BlurFFT motion, gaussian"]
    run(monkeypatch, *chosen)
    run(monkeypatch, *chosen)
    assert len(quick) == 4
    run(monkeypatch, *chosen, "--again")
    assert len(quick) == 8
    with open(file, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["verdict"] for row in rows] == ["level", "level"]
    assert capsys.readouterr().out.count("level") == 4


def test_the_page_shows_every_row_and_what_is_refused(tmp_path, monkeypatch):
    best = dict.fromkeys(page.COLUMNS, "") | {"sigma": "30.00", "stated": "29.90", "dpir": "28.00"}
    text = {"operator": "Blur", "noise": "gaussian", "errors": "sigma: ValueError: y: no; stated: ValueError: y: no"}
    refused = dict.fromkeys(page.COLUMNS, "") | text | {"kind": "volume", "verdict": "refused"}
    page.write_page(tmp_path / "page.md", [best | text | {"kind": "grey", "verdict": "better"}, refused])
    written = (tmp_path / "page.md").read_text()
    assert "Of 2 rows: 1 better, 0 level, 0 worse, 1 refused" in written
    assert "| Blur | gaussian | grey | better | **30.00** | 29.90 | - | 28.00 |" in written
    assert "* Blur (volume):\n  `ValueError: y: no`" in written


def test_a_list_of_images_is_compared_by_its_first():
    hazy = image("hazy", 16)
    assert methods.Problem(hazy, None, None, 0.0).psnr(TensorList(list(hazy))) == methods.HIGHEST
