"""``daep train``: its result restores, it resumes, and it replaces nothing of the user's."""

from __future__ import annotations

import signal
from dataclasses import fields
from pathlib import Path

import pytest
import typer

import daep_prior
from daep_cli.commands.train import make_network
from daep_cli.main import app
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.writing import write_photo
from daep_prior import ConvDAE, UNetDAE, load_dae
from daep_prior.training import TrainingConfig


@pytest.fixture
def folder(tmp_path: Path, scene) -> Path:
    """Two small training images."""
    images = tmp_path / "images"
    images.mkdir()
    for name in ("a.png", "b.png"):
        write_photo(Photo(scene(24, 24)), images / name)
    return images


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks of two layers instead of twenty."""
    monkeypatch.setattr(daep_prior, "ConvDAE", lambda **k: ConvDAE(depth=2, width=4, **k))
    monkeypatch.setattr(daep_prior, "UNetDAE", lambda **k: UNetDAE(widths=(4, 8), blocks=1, **k))


QUICK = ["--steps", 2, "--batch", 2, "--crop", 16]


@pytest.mark.parametrize("network", ["paper", "unet"])
def test_a_trained_network_restores(daep, folder, tmp_path, photo, small, network: str) -> None:
    weights = tmp_path / "w.safetensors"
    outcome = daep("train", folder, "-o", weights, "--network", network, *QUICK)
    assert outcome.status == 0, outcome.err
    assert "step 2/2" in outcome.out
    options = ["--noise", 25, "--denoiser", weights, "--iterations", 1]
    assert daep("restore", photo, "-o", tmp_path / "out.png", *options).status == 0


def test_the_same_command_resumes(daep, folder, tmp_path, small) -> None:
    arguments = ["train", folder, "-o", tmp_path / "w.safetensors", "--batch", 2, "--crop", 16]
    assert daep(*arguments, "--steps", 2).status == 0
    outcome = daep(*arguments, "--steps", 3)
    assert outcome.status == 0, outcome.err
    assert "resumed at step 2" in outcome.out


def test_ctrl_c_ends_with_a_checkpoint_and_the_same_command_goes_on(daep, folder, tmp_path, small, monkeypatch) -> None:
    from daep_prior.training.run import TrainingRun

    learn = TrainingRun.learn

    def interrupted(run, crops):
        if run.step == 1:
            signal.raise_signal(signal.SIGINT)
        learn(run, crops)

    monkeypatch.setattr(TrainingRun, "learn", interrupted)
    arguments = ["train", folder, "-o", tmp_path / "w.safetensors", "--batch", 2, "--crop", 16, "--steps", 4]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may ignore it
    try:
        outcome = daep(*arguments)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert outcome.status == 130
    assert outcome.err == "daep: interrupted at step 2; the same command continues from there.\n"
    monkeypatch.undo()
    monkeypatch.setattr(daep_prior, "ConvDAE", lambda **k: ConvDAE(depth=2, width=4, **k))
    assert "resumed at step 2 " in daep(*arguments).out


@pytest.mark.parametrize("name", ["steps", "batch", "crop", "learning_rate"])
def test_the_help_says_the_defaults(name: str) -> None:
    (option,) = (p for p in typer.main.get_command(app).commands["train"].params if p.name == name)
    default = next(field.default for field in fields(TrainingConfig) if field.name == name)
    assert option.help.endswith(f"; default {default}.")


def test_noise_levels_reach_the_network(daep, folder, tmp_path, small) -> None:
    for network, sigma in (("paper", 11), ("unet", 15)):
        out = tmp_path / f"{network}.safetensors"
        daep("train", folder, "-o", out, "--network", network, "--sigma", sigma, *QUICK)
        assert load_dae(out).sigma == pytest.approx(sigma / 255)
    assert make_network("unet", None).conditional
    assert make_network("paper", None).sigma == pytest.approx(25 / 255)


def test_weights_without_a_checkpoint_are_somebodys_and_are_left_alone(refused, folder, tmp_path) -> None:
    out = tmp_path / "w.safetensors"
    out.write_bytes(b"mine")
    assert "give --overwrite" in refused("train", folder, "-o", out, *QUICK)
    assert out.read_bytes() == b"mine"


def test_overwrite_replaces_weights_and_training_can_start_from_others(daep, folder, tmp_path, small) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    assert daep("train", folder, "-o", first, *QUICK).status == 0
    second.write_bytes(b"replace me")
    outcome = daep("train", folder, "-o", second, "--start-from", first, "--overwrite", *QUICK)
    assert outcome.status == 0, outcome.err
    assert "starting from the weights of" in outcome.out
    load_dae(second)


def test_weights_to_start_from_that_are_not_there_are_named(refused, folder, tmp_path, small) -> None:
    line = refused("train", folder, "-o", tmp_path / "w.safetensors", "--start-from", "none.safetensors", *QUICK)
    assert "--start-from none.safetensors: no such weight file; check its name" in line


def test_training_from_another_architecture_is_refused(daep, folder, tmp_path, small) -> None:
    unet = tmp_path / "unet.safetensors"
    assert daep("train", folder, "-o", unet, "--network", "unet", *QUICK).status == 0
    outcome = daep("train", folder, "-o", tmp_path / "w.safetensors", "--start-from", unet, *QUICK)
    assert outcome.status == 2 and "start_from" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["{none}", "-o", "{out}"], "does not exist"),
        (["{folder}", "-o", "{tmp}/w.pt"], "cannot write this format"),
        (["{folder}", "-o", "{tmp}/none/w.safetensors"], "create it first"),
        (["{folder}", "-o", "{out}", "--sigma", "0"], "--sigma 0"),
        (["{folder}", "-o", "{out}", "--sigma", "nan"], "--sigma nan"),
        (["{folder}", "-o", "{out}", "--steps", "0"], "steps: got 0"),
        (["{folder}", "-o", "{out}", "--learning-rate", "-1"], "learning_rate"),
        (["{folder}", "-o", "{out}", "--crop", "4096"], "no usable image"),
        (["{folder}", "-o", "{out}", "--device", "toaster"], "--device toaster"),
    ],
)
def test_bad_input_is_status_2_and_writes_nothing(daep, folder, tmp_path, arguments, reason) -> None:
    places = {"none": tmp_path / "none", "folder": folder, "tmp": tmp_path, "out": tmp_path / "w.safetensors"}
    outcome = daep("train", *(a.format(**places) for a in arguments))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert reason in outcome.err
    assert not list(tmp_path.glob("*.safetensors"))
