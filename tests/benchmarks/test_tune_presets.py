"""``benchmarks/tune_presets.py`` with a tiny network and tiny crops."""

import csv
import json

import gradient_search
import numpy as np
import preset_search
import pytest
import torch
import tune_presets
from PIL import Image
from skimage import data
from tuning_crops import UnusableFolderError, choose_crops

from daep_deepinv import DAEP, DAEDenoiser, degradation
from daep_prior import DivergenceError, schedules
from daep_prior.networks import UNetDAE
from daep_prior.pretrained import save_dae
from daep_prior.schedules import read_settings, shipped_settings

SIZE = 48


def make_folder(place):
    """Three training images that are large enough, and three files that cannot be used."""
    images = place / "photographs"
    (images / "more").mkdir(parents=True)
    for i in range(3):
        Image.fromarray(data.astronaut()[100 * i : 100 * i + 60, 150:230]).save(images / "more" / f"{i}.png")
    Image.fromarray(data.astronaut()[:30, :90]).save(images / "flat.png")
    Image.fromarray(np.zeros((60, 60), np.uint16)).save(images / "deep.png")
    (images / "broken.png").write_bytes(b"no image")
    return images


def make_network(place):
    """A weight file of a noise-conditional network, untrained."""
    torch.manual_seed(0)
    save_dae(UNetDAE(widths=(4, 8), blocks=1), place / "tiny.safetensors", {})
    return place / "tiny.safetensors"


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path)


@pytest.fixture
def network(tmp_path):
    return make_network(tmp_path)


def run(shared, place, monkeypatch, *options):
    """A short search, with files in the folder ``place``; the exit status."""
    place.mkdir(exist_ok=True)
    monkeypatch.chdir(place)
    images, weights = str(shared / "photographs"), str(shared / "tiny.safetensors")
    short = ["--size", str(SIZE), "--crops", "2", "--kernels", "2", "--levels", "5,0", "--trials", "2"]
    return tune_presets.main([images, "-o", "settings.json", "--network", weights, *short, *options])


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A folder with training images, a network, and in ``whole`` the files of a search that was not interrupted."""
    place = tmp_path_factory.mktemp("shared")
    make_folder(place)
    make_network(place)
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert run(place, place / "whole", monkeypatch) == 0
    return place


def trials(place):
    with (place / "settings.trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_gives_a_file_that_a_model_reads(shared):
    path = shared / "whole" / "settings.json"
    found = read_settings(path)
    assert set(found.levels) == {5.0, *shipped_settings().levels}
    assert found.levels[7.65] == shipped_settings().levels[7.65]
    physics = degradation(np.ones((3, 3)) / 9)
    model = DAEP(5 / 255, shared / "tiny.safetensors", settings=path, scale=1, bounds=(0, 1))
    (plan,) = model.plan(physics.A(torch.rand(1, 3, 32, 32)), physics)
    assert plan.schedule == schedules.annealed(5 / 255, settings=found)


def test_the_file_says_how_its_numbers_were_found(shared):
    content = json.loads((shared / "whole" / "settings.json").read_text())
    search = content["search"]
    assert content["network"] == "tiny.safetensors"
    assert (search["folder"], search["images"], search["seed"], search["trials"]) == ("photographs", 6, 0, 2)
    assert len({name for name, _, _ in search["crops"]}) == 2
    assert all(name.startswith("more/") and 0 <= top <= 12 and 0 <= left <= 32 for name, top, left in search["crops"])
    assert search["command"].startswith("python benchmarks/tune_presets.py ")
    results = search["mean PSNR in dB over the measured pixels"]
    assert list(results) == [f"{noise}, {name}" for noise in ("noise 5", "noise-free") for name in ("fast", "annealed")]
    measured = {float(row["mean"]) for row in trials(shared / "whole")}
    for result in results.values():
        assert {*result["search half, start and found"], *result["held-out half, start and found"]} <= measured


def test_an_interrupted_search_continues_to_the_same_files(shared, tmp_path, monkeypatch, capsys):
    measured = preset_search.Trials._measured
    for count in (0, 3, 4):
        left = iter(range(count))

        def interrupted(*arguments, left=left):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return measured(*arguments)

        monkeypatch.setattr(preset_search.Trials, "_measured", interrupted)
        assert run(shared, tmp_path, monkeypatch) == 130
        assert "the same command continues" in capsys.readouterr().out
    monkeypatch.setattr(preset_search.Trials, "_measured", measured)
    assert run(shared, tmp_path, monkeypatch) == 0
    for name in ("settings.json", "settings.trials.csv"):
        assert (tmp_path / name).read_bytes() == (shared / "whole" / name).read_bytes()


def test_trials_of_other_crops_are_not_used(shared, tmp_path, monkeypatch):
    path = tmp_path / "settings.trials.csv"
    path.write_bytes((shared / "whole" / path.name).read_bytes())
    before = trials(tmp_path)
    assert (
        run(shared, tmp_path, monkeypatch, "--size", "50", "--levels", "5", "--presets", "fast", "--trials", "1") == 0
    )
    after = trials(tmp_path)
    assert after[: len(before)] == before and before
    assert len(after) == len(before) + 2  # the start, on both halves
    assert {row["problem"] for row in before}.isdisjoint(row["problem"] for row in after[len(before) :])


def test_numbers_for_circular_blurs_are_searched_by_gradients(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(preset_search, "GRADIENT_STEPS", 2)
    monkeypatch.setattr(gradient_search, "BATCH", 2)
    options = ("--border", "circular", "--search", "gradients", "--presets", "fast", "--levels", "5")
    assert run(shared, tmp_path, monkeypatch, *options) == 0
    found = read_settings(tmp_path / "settings.json")
    assert found.levels == shipped_settings().levels and 5.0 in found.circular
    search, first, moved, *_ = trials(tmp_path)
    assert (search["half"], first["half"], moved["half"]) == ("gradients", "search", "search")
    assert first["settings"] != moved["settings"]
    assert "step 2 of 2" in capsys.readouterr().out
    assert run(shared, tmp_path, monkeypatch, *options) == 0  # what has been found is read
    assert "step" not in capsys.readouterr().out


def test_a_search_for_circular_blurs_starts_at_the_numbers_of_its_noise(shared):
    table = shipped_settings()
    start = tune_presets.start_of(table, 5.0, "circular")
    assert (start.fast, start.fast_final_width) == (table.at(5 / 255).fast, table.at(5 / 255).fast_final_width)
    level = next(iter(table.circular))
    assert tune_presets.start_of(table, level, "circular") == table.circular[level]


# -- the search alone ------------------------------------------------------------------------------------------------


class Made:
    """Trials whose PSNR is known: ``better(width)`` of the width of the last denoising, on each half."""

    def __init__(self, search, held_out):
        self.better = {"search": search, "held-out": held_out}

    def psnr(self, settings, preset_name, level, half):
        return self.better[half](settings.fast_final_width), False


def widths(*slopes):
    """Each measurement gains so many dB for 1/255 more of that width."""
    return lambda width: [30 + slope * width for slope in slopes]


def test_what_clearly_gains_on_both_halves_is_accepted():
    start = shipped_settings().at(2.55 / 255)
    found = preset_search.search(start, "fast", 2.55, Made(widths(1), widths(0.5, 0.6, 0.4)), 6, print)
    assert found.accepted
    assert found.settings.fast_final_width > start.fast_final_width
    assert found.settings.gradient == start.gradient
    assert found.held_out[1] > found.held_out[0]


@pytest.mark.parametrize(
    "held_out",
    [
        widths(-1, -1, -1),
        widths(0, 0, 0),
        widths(2e-4, 2e-4, 2e-4),
        widths(3, -1, -1),
        lambda w: [30 if w < 4 else 0, 30, 30],
    ],
    ids=["loss", "nothing", "next to nothing", "one measurement alone", "divergence"],
)
def test_what_does_not_clearly_gain_on_the_held_out_half_is_not_accepted(held_out):
    start = shipped_settings().at(2.55 / 255)
    found = preset_search.search(start, "fast", 2.55, Made(widths(1), held_out), 6, print)
    assert not found.accepted
    assert found.settings == start
    assert found.search[1] > found.search[0]


@pytest.mark.parametrize(("name", "level"), [("fast", 2.55), ("fast", 0), ("annealed", 2.55), ("annealed", 0)])
def test_each_number_reaches_the_schedule(name, level):
    """A number that changes nothing would waste trials."""
    start = shipped_settings().at(level / 255)
    names = preset_search.searched_numbers(name, level)
    values = preset_search.get_numbers(start, names)
    assert preset_search.with_numbers(start, names, values) == start
    made = set()
    for i in range(len(names)):
        moved = preset_search.with_numbers(start, names, (*values[:i], 0.9 * values[i], *values[i + 1 :]))
        table = schedules.SettingsTable({level or 1.0: moved}, moved)
        made.add(str(vars(schedules.preset(name, level / 255, settings=table))))
    assert len(made) == len(names)


def test_a_restoration_that_diverges_is_worse_than_any_other(folder, network, tmp_path, monkeypatch):
    def diverging(*arguments, **options):
        raise DivergenceError("no longer finite")

    monkeypatch.setattr(DAEP, "forward", diverging)
    table = preset_search.Trials(tmp_path / "t.csv", choose_crops(folder, 2, SIZE, 1, 0), DAEDenoiser(network))
    start = shipped_settings().at(0.01)
    assert table.psnr(start, "fast", 2.55, "search") == ([0.0], True)
    assert table.psnr(start, "fast", 2.55, "search") == ([0.0], False)


# -- crops -----------------------------------------------------------------------------------------------------------


def test_both_halves_are_the_same_each_time_and_share_nothing(folder):
    for level in (2.55, 0):
        cases = {half: choose_crops(folder, 3, SIZE, 2, 0).cases(level, half) for half in ("search", "held-out")}
        again = choose_crops(folder, 3, SIZE, 2, 0).cases(level, "search")
        assert all(a.measurement.equal(b.measurement) for a, b in zip(again, cases["search"], strict=True))
        assert {case.name for case in cases["search"]}.isdisjoint(case.name for case in cases["held-out"])
        assert len(cases["search"]) == 4 and len(cases["held-out"]) == 2
    crops = choose_crops(folder, 3, SIZE, 2, 0)
    kernels = [case.physics.filter for half in ("search", "held-out") for case in crops.cases(2.55, half)]
    assert all(a.shape != b.shape or not a.equal(b) for i, a in enumerate(kernels) for b in kernels[:i])


def test_another_seed_gives_other_crops_kernels_and_noise(folder):
    first, other = (choose_crops(folder, 2, SIZE, 1, seed) for seed in (0, 1))
    assert first.fingerprint() != other.fingerprint()
    assert not first.cases(2.55, "search")[0].measurement.equal(other.cases(2.55, "search")[0].measurement)


def test_images_that_cannot_be_used_are_skipped_with_a_reason(folder):
    lines = []
    with pytest.raises(
        UnusableFolderError, match=r"with 3 usable images of at least 48 x 48 pixels; expected at least 4"
    ):
        choose_crops(folder, 4, SIZE, 1, 0, lines.append)
    assert sorted(line.split(":")[0] for line in lines) == ["skipped broken.png", "skipped deep.png"]


def test_a_grey_image_has_one_channel(tmp_path):
    for i in range(2):
        Image.fromarray(data.camera()[100 * i : 100 * i + 60, :60]).save(tmp_path / f"{i}.png")
    crops = choose_crops(tmp_path, 2, SIZE, 1, 0)
    for level in (2.55, 0):
        (case, *_) = crops.cases(level, "search")
        assert case.measurement.shape[1] == 1


# -- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trials", "0"], "--trials: got 0; expected at least 1"),
        (["--crops", "1"], "--crops: got 1; expected at least 2"),
        (["--size", "32"], "--size: got 32; expected at least 48"),
        (["--kernels", "1"], "--crops, --kernels: got 2, 1; expected two held-out measurements"),
        (["--levels", "2.55,strong"], "--levels: got 2.55,strong; expected numbers from 0 to 255"),
        (["--levels", "-1"], "--levels: got -1; expected numbers from 0 to 255"),
        (["--border", "circular"], "they are for --presets fast and --levels above 0"),
        (["--search", "gradients", "--presets", "fast"], "they are for --presets fast and --levels above 0"),
        (["--presets", "paper"], "--presets: got paper; expected fast or annealed, or both"),
        (["--start", "settings.json"], "--output: got settings.json, where the search starts; expected another file"),
        (
            ["-o", "nowhere/settings.json"],
            "--output: got nowhere/settings.json; expected a file in a folder that exists",
        ),
        (["-o", "notes.json"], "--output: got notes.json, which exists and is no file of settings"),
        (["--network", "dae-sigma25"], "--network: got dae-sigma25, trained for noise of 25/255 alone"),
        (["--network", "nothing"], "nothing"),
        (["--start", "notes.json"], "settings: got notes.json; expected a file of benchmarks/tune_presets.py"),
        (["--crops", "7"], "with 3 usable images"),
    ],
)
def test_what_cannot_be_done_is_refused(folder, network, tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.json").write_text("{}")
    before = sorted(tmp_path.iterdir())
    base = [
        str(folder),
        "-o",
        "settings.json",
        "--network",
        str(network),
        "--size",
        str(SIZE),
        "--crops",
        "2",
        "--kernels",
        "2",
    ]
    with pytest.raises(SystemExit) as exit:
        tune_presets.main([*base, *options])
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["set14", "Kodak24"])
def test_a_folder_with_test_images_is_refused(folder, name):
    (folder / name).mkdir()
    (folder / "more" / "0.png").rename(folder / name / "0.png")
    for chosen in (folder, folder / name):
        with pytest.raises(UnusableFolderError, match="test images choose no numbers"):
            choose_crops(chosen, 1, SIZE, 1, 0)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnusableFolderError, match="expected a folder of training images"):
        choose_crops(tmp_path / "nothing", 1, SIZE, 1, 0)
