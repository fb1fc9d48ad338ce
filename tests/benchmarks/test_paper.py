"""The commands that repeat the paper: plumbing, on images of a few pixels."""

import csv
import dataclasses

import numpy as np
import paper
import paper_data
import paper_figures
import paper_published
import paper_studies
import paper_tables
import pytest
import torch
from paper_methods import AUTHORS, METHODS, build, restore
from PIL import Image
from protocol import Table, holed, levin, noisy, reduced
from rich.console import Console

SIDE = 48
#: Of these only a box far from the corner is used.
KODAK_SIDE = 128
#: Methods of Table 1 whose networks are there.
RUNNABLE = len(paper_studies.STUDIES["table1"].methods) - 1


@pytest.fixture
def data(tmp_path):
    """A data folder of small images with sharp edges."""
    folder = tmp_path / "data"
    names = [f"set5/{name}" for name in paper_studies.SET5] + [f"levin/im{i}" for i in (1, 2, 3, 4)]
    names += [f"kodak24/kodim{i:02d}" for i in range(1, 25)]
    for seed, name in enumerate(names):
        path = folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        side = KODAK_SIDE if "kodak" in name else SIDE
        tiles = np.random.default_rng(seed).integers(20, 236, (6, 6, 3), np.uint8)
        Image.fromarray(tiles).resize((side, side), Image.Resampling.NEAREST).save(path)
    (folder / "kernels").mkdir()
    kernels = np.random.default_rng(0).random((8, 5, 5))
    np.savez(
        folder / "kernels" / "levin.npz", **{f"k{i}": kernel / kernel.sum() for i, kernel in enumerate(kernels, 1)}
    )
    return folder


@pytest.fixture
def run(data, tmp_path):
    return paper_tables.Run(
        data, tmp_path / "results", tmp_path / "pictures", tmp_path / "scratch", torch.device("cpu"), cases=2
    )


@pytest.fixture
def restored(monkeypatch):
    """Restoration replaced by the clean image and a known error; the list of what was asked for."""
    asked = []

    def fake(method, case, data, device):
        asked.append((case.name, method))
        return (case.clean + 0.1).clamp(0, 1) if method.network else case.clean.roll(1, -1)

    monkeypatch.setattr(paper_tables, "restore", fake)
    return asked


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# -- the studies as data ---------------------------------------------------------------------------------------------


def test_every_prefix_of_levins_cases_is_balanced():
    order = paper_studies.LEVIN
    assert len(set(order)) == 32
    for i in range(0, 32, 4):
        assert {image for image, _ in order[i : i + 4]} == {1, 2, 3, 4}
    for i in range(0, 32, 8):
        assert {kernel for _, kernel in order[i : i + 8]} == set(range(1, 9))


def test_every_kodak_image_is_in_figure_6():
    assert sorted(paper_studies.KODAK) == list(range(1, 25))


def test_every_method_and_rival_of_a_study_exists():
    for study in paper_studies.STUDIES.values():
        assert set(study.methods) <= set(METHODS)
        assert {METHODS[name].rival for name in study.methods} - {None} <= set(study.methods)


def test_the_published_figure_beside_the_authors_network_is_that_of_the_paper():
    cell = paper_studies.STUDIES["table3"].cells[0]
    assert paper_tables.published_figure(cell, "authors") == paper_published.LEVIN[2.55]["DAEP"] == 32.69
    assert paper_tables.published_figure(cell, "dae") is None
    other = paper_studies.STUDIES["figure7"].cells[0]
    assert paper_tables.published_figure(other, "authors") is None, "another image than the paper's"


# -- protocol --------------------------------------------------------------------------------------------------------


def test_levins_noise_is_the_same_in_the_three_channels(data):
    case = levin(data, 1, 2, 0.05)
    noise = case.measurement - case.physics.A(case.clean)
    torch.testing.assert_close(noise[:, 0], noise[:, 1])
    assert float(noise.std()) == pytest.approx(0.05, rel=0.1)
    assert case.margin == (2, 2)


def test_holes_are_missing_in_all_channels_and_the_rest_is_exact(data):
    case = holed(data / "set5" / "bird.png", 0.7)
    known = case.measurement != 0
    torch.testing.assert_close(case.measurement[known], case.clean[known])
    mask = case.physics.mask
    assert bool((mask == mask[:, :1]).all())
    assert 1 - float(mask.mean()) == pytest.approx(0.7, abs=0.03)


def test_noise_is_clipped_to_the_range_of_an_image(data):
    case = noisy(data / "set5" / "bird.png", 0.5)
    assert float(case.measurement.min()) == 0 and float(case.measurement.max()) == 1


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
    assert (model.preset, model.prior[0].noise) == (preset, noise)
    small = build(METHODS[method], reduced(data / "set5" / "bird.png", 2), data, cpu)
    assert small.preset == ("paper-sr" if preset == "paper" else preset)


# -- running, resuming, summarising ----------------------------------------------------------------------------------


def test_what_has_been_measured_is_not_measured_again(run, restored):
    study = paper_studies.STUDIES["table1"]
    paper_tables.measure(study, dataclasses.replace(run, cases=1), Console(quiet=True))
    first = len(restored)
    assert first == 4 * RUNNABLE, "four factors; the authors' network is not in this folder"
    paper_tables.measure(study, run, Console(quiet=True))
    assert len(restored) == 2 * first
    assert len(set(restored)) == len(restored)


def test_an_interrupted_run_goes_on_where_it_stopped(run, restored, monkeypatch):
    study = paper_studies.STUDIES["table1"]
    whole = paper_tables.restore

    def interrupted(*arguments):
        if len(restored) == 5:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(paper_tables, "restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        paper_tables.measure(study, run, Console(quiet=True))
    assert len(run.store().rows) == 5
    monkeypatch.setattr(paper_tables, "restore", whole)
    paper_tables.measure(study, run, Console(quiet=True))
    assert len(run.store().rows) == len(set(restored)) == len(restored) == 4 * 2 * RUNNABLE


def test_an_interrupted_run_has_taken_all_cells_about_equally_far(run, restored):
    study = paper_studies.STUDIES["table3"]
    paper_tables.measure(study, run, Console(quiet=True))
    order = [(row["cell"], row["case"]) for row in run.store().rows if row["method"] == "dae"]
    assert [cell for cell, _ in order[:3]] == [cell.name for cell in study.cells]
    assert {case for _, case in order[:3]} == {"im1/k1"}


def test_again_forgets_only_the_methods_and_cells_named(run, restored):
    study = paper_studies.STUDIES["table1"]
    paper_tables.measure(study, run, Console(quiet=True))
    restored.clear()
    again = dataclasses.replace(run, methods=["dae"], only="x3", again=True)
    paper_tables.measure(study, again, Console(quiet=True))
    assert len(restored) == 2 and {method for _, method in restored} == {METHODS["dae"]}
    assert len(run.store().rows) == 4 * 2 * RUNNABLE


def test_a_mean_is_over_the_cases_it_says_and_the_gain_over_the_shared_ones(tmp_path):
    cell = paper_studies.STUDIES["table1"].cells[1]
    store = Table(tmp_path / "cases.csv", "cell", "case", "method")
    figures = {"authors": {"butterfly": 27.0, "bird": 35.0}, "dae": {"bird": 35.5, "head": 31.0, "baby": 34.0}}
    for method, cases in figures.items():
        for case, psnr in cases.items():
            store.add({"cell": cell.name, "case": case, "method": method, "psnr": f"{psnr}", "machine": ""})
    found = paper_tables.entry(cell, "dae", store)
    assert found == paper_tables.Entry(pytest.approx(33.5), 3, 5, pytest.approx(0.5), 1)
    assert paper_tables.entry(cell, "dae-sigma25", store) is None
    rows = {(row["source"], row["method"]): row for row in paper_tables.summary(paper_studies.STUDIES["table1"], store)}
    row = rows["here", "authors"]
    assert (row["psnr"], row["cases"], row["of"], row["difference"]) == ("31.00", "2", "5", ""), "a subset has none"


def test_a_complete_cell_shows_its_difference_to_the_paper(tmp_path):
    study = paper_studies.STUDIES["table1"]
    cell = study.cells[1]
    store = Table(tmp_path / "cases.csv", "cell", "case", "method")
    for case in cell.cases:
        store.add({"cell": cell.name, "case": case, "method": "authors", "psnr": "31.54", "machine": ""})
    row = next(r for r in paper_tables.summary(study, store) if r["source"] == "here")
    assert row["difference"] == "+0.10"
    line = next(r for r in paper_tables.grid(study, store) if r[0] == METHODS["authors"].label)
    assert line == [METHODS["authors"].label, "", "31.54 (all 5; +0.10)", "", ""]


@pytest.mark.parametrize(("value", "text"), [(-0.004, "+0.00"), (-0.006, "-0.01"), (0.3, "+0.30")])
def test_a_difference_is_never_minus_zero(value, text):
    assert paper_tables.signed(value) == text


# -- commands --------------------------------------------------------------------------------------------------------


def command(data, tmp_path, *arguments):
    folders = [f"--{name}={tmp_path / name}" for name in ("results", "pictures", "scratch")]
    paper.main([*arguments, f"--data={data}", *folders])
    return tmp_path / "results", tmp_path / "pictures"


@pytest.mark.parametrize(
    "name", [n for n in paper_studies.STUDIES if n in ("table1", "table3", "figure7", "stochastic")]
)
def test_a_table_writes_its_cases_its_summary_and_its_picture(data, tmp_path, restored, monkeypatch, name):
    monkeypatch.setattr(paper_studies, "CENTRE", 16)
    results, pictures = command(data, tmp_path, name, "--cases", "1")
    study = paper_studies.STUDIES[name]
    cases = rows_of(results / "cases.csv")
    assert list(cases[0]) == ["cell", "case", "method", "psnr", "seconds", "machine"]
    assert {row["cell"] for row in cases} == {cell.name for cell in study.cells}
    summary = rows_of(results / f"{name}.csv")
    assert tuple(summary[0]) == paper_tables.SUMMARY
    assert {row["source"] for row in summary} >= {"here"}
    text = (results / f"{name}.md").read_text()
    assert study.protocol in text and f"(1 of {len(study.cells[0].cases)})" in text
    assert Image.open(pictures / f"{name}.png").size[0] > 300


def test_a_real_restoration_goes_through(data, tmp_path):
    results, _ = command(data, tmp_path, "table1", "--cases", "1", "--methods", "bicubic", "dae", "--only", "x2")
    psnr = {row["method"]: float(row["psnr"]) for row in rows_of(results / "cases.csv")}
    assert psnr["dae"] > psnr["bicubic"]


def test_figure_2_writes_its_errors_and_its_picture(data, tmp_path, monkeypatch):
    short = paper_figures.figure2
    monkeypatch.setitem(paper.FIGURES, "figure2", lambda run, console: short(run, console, training_steps=50))
    results, pictures = command(data, tmp_path, "figure2")
    rows = rows_of(results / "figure2.csv")
    assert list(rows[0]) == ["field", "width", "error", "cosine", "scale"]
    optimal = [float(row["error"]) for row in rows if "optimal" in row["field"]]
    assert optimal == sorted(optimal) and optimal[0] < 0.05
    assert Image.open(pictures / "figure2.png").size[0] > 300


def test_figure_8_has_an_energy_and_a_psnr_an_iteration_and_is_not_computed_twice(data, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_figures, "kodak", lambda data, *rest: levin(data, 1, 1, 0.01))
    real, built = paper_figures.build, []

    def short(*arguments, **options):
        built.append(arguments[0])
        return real(*arguments, **options, max_iter=3)

    monkeypatch.setattr(paper_figures, "build", short)
    for _ in range(2):
        results, pictures = command(data, tmp_path, "figure8", "--methods", "dae-sigma25", "dae")
    assert len(built) == 2
    assert "noise 2.55" in (results / "figure8.md").read_text()
    rows = rows_of(results / "figure8.csv")
    assert [(row["method"], row["iteration"]) for row in rows] == [
        (name, k) for name in ("dae-sigma25", "dae") for k in "123"
    ]
    assert all(float(row["energy"]) > 0 for row in rows[:3]) and not any(row["energy"] for row in rows[3:])
    assert (pictures / "figure8.png").is_file()


def test_figure_3_descends_the_energy(data, tmp_path, monkeypatch):
    Image.fromarray(np.full((192, 192, 3), 128, np.uint8)).save(data / "set5" / "butterfly.png")
    monkeypatch.setattr(paper_figures, "PAPER_ITERATIONS", 10)
    monkeypatch.setattr(paper_figures, "STAGES", (0, 10))
    monkeypatch.setattr(paper_figures, "BOX", (64, 96, 64, 96))
    results, pictures = command(data, tmp_path, "figure3", "--methods", "dae-sigma25")
    first, last = rows_of(results / "figure3.csv")
    assert (first["iteration"], last["iteration"]) == ("0", "10")
    assert float(last["energy"]) < float(first["energy"])
    assert (pictures / "figure3.png").is_file()


def test_the_running_time_is_measured_once_a_machine(data, tmp_path, monkeypatch):
    monkeypatch.setattr(paper_figures, "levin_kernel", lambda data, number: np.ones((3, 3)))
    monkeypatch.setattr(paper_figures, "read", lambda path, box: torch.rand(1, 3, 130, 130))
    monkeypatch.setattr(paper_figures, "_time", lambda *arguments: (2.0, 1.0))
    for _ in range(2):
        results, pictures = command(data, tmp_path, "seconds", "--methods", "dae-sigma25", "dae")
    rows = rows_of(results / "seconds.csv")
    assert [row["method"] for row in rows] == ["dae-sigma25", "dae"]
    assert list(rows[0]) == ["method", "seconds", "processor seconds", "load", "machine"]
    assert (pictures / "seconds.png").is_file()


def test_without_the_authors_network_the_rest_is_run(data, tmp_path, restored, capsys):
    results, _ = command(data, tmp_path, "table1", "--cases", "1", "--only", "x2")
    assert {row["method"] for row in rows_of(results / "cases.csv")} == {
        "bicubic",
        "dae-sigma25",
        "dae",
        "dae-best",
        "pnp-hqs",
        "pnp-hqs-24",
    }
    assert "authors' network" in capsys.readouterr().out
    assert not (data / AUTHORS).exists()


def test_a_data_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match="nowhere"):
        paper.main(["table1", f"--data={tmp_path / 'nowhere'}"])


def test_an_image_that_is_not_there_is_named_with_where_it_comes_from(data, tmp_path, restored):
    (data / "set5" / "butterfly.png").unlink()
    with pytest.raises(SystemExit, match=r"butterfly\.png.*--download"):
        command(data, tmp_path, "table1")


@pytest.mark.parametrize(
    "arguments",
    [["table9"], ["table1", "--cases", "some"], ["table1", "--methods", "magic"], ["table1", "--device", "abacus"]],
)
def test_a_wrong_word_is_refused_before_any_work(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        paper.parse(arguments)
    assert refused.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


# -- downloading -----------------------------------------------------------------------------------------------------


class FakeSet:
    """A dataset class of deepinv that finds its files already downloaded."""

    names = ("bird", "head")

    def __init__(self, root, download):
        assert download
        self.img_dir = f"{root}/raw"
        for name in self.names:
            path = paper_data.Path(self.img_dir) / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)


class FakeKodak(FakeSet):
    names = ("1", "12")


def test_what_is_downloaded_has_the_names_that_the_studies_look_for(tmp_path, monkeypatch):
    for name, fake in (("Set5HR", FakeSet), ("Set14HR", FakeSet), ("Kodak24", FakeKodak)):
        monkeypatch.setattr(paper_data, name, fake)
    sides = iter(paper_data.KERNEL_SIDES)
    monkeypatch.setattr(paper_data, "load_degradation", lambda name, folder, index: torch.ones(2 * [next(sides)]))
    paper_data.fetch(tmp_path)
    assert {path.name for path in (tmp_path / "set5").iterdir()} == {"bird.png", "head.png"}
    assert {path.name for path in (tmp_path / "kodak24").iterdir()} == {"kodim01.png", "kodim12.png"}
    assert np.load(tmp_path / "kernels" / "levin.npz")["k4"].shape == (27, 27)


def test_kernels_in_another_order_are_refused(tmp_path, monkeypatch):
    for name in ("Set5HR", "Set14HR", "Kodak24"):
        monkeypatch.setattr(paper_data, name, FakeKodak)
    monkeypatch.setattr(paper_data, "load_degradation", lambda name, folder, index: torch.ones(9, 9))
    with pytest.raises(SystemExit, match="sides"):
        paper_data.fetch(tmp_path)


def test_nothing_is_downloaded_unless_asked(data, tmp_path, restored, monkeypatch):
    monkeypatch.setattr(paper_data, "fetch", lambda folder: pytest.fail("downloads"))
    command(data, tmp_path, "table1", "--cases", "1", "--only", "x2")
