"""The command ``benchmarks/paper.py`` on images of a few pixels."""

import csv
import functools

import numpy as np
import paper
import pytest
import torch
from PIL import Image
from protocol import levin
from reproduction import download, figure2, figure3, figure8, running_time, studies, summary
from reproduction.methods import AUTHORS


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def command(data, tmp_path, *arguments):
    folders = [f"--{name}={tmp_path / name}" for name in ("results", "pictures", "scratch")]
    paper.main([*arguments, f"--data={data}", *folders])
    return tmp_path / "results", tmp_path / "pictures"


@pytest.mark.parametrize("name", ["table1", "table3", "figure7", "stochastic"])
def test_a_table_writes_its_cases_its_summary_and_its_picture(data, tmp_path, restored, monkeypatch, name):
    monkeypatch.setattr(studies, "CENTRE", 16)
    results, pictures = command(data, tmp_path, name, "--cases", "1")
    study = studies.STUDIES[name]
    cases = rows_of(results / "cases.csv")
    assert list(cases[0]) == ["cell", "case", "method", "psnr", "seconds", "machine"]
    assert {row["cell"] for row in cases} == {cell.name for cell in study.cells}
    rows = rows_of(results / f"{name}.csv")
    assert tuple(rows[0]) == summary.SUMMARY
    assert {row["source"] for row in rows} >= {"here"}
    text = (results / f"{name}.md").read_text()
    assert study.protocol in text and f"(1 of {len(study.cells[0].cases)})" in text
    assert Image.open(pictures / f"{name}.png").size[0] > 300


def test_a_real_restoration_goes_through(data, tmp_path):
    results, _ = command(data, tmp_path, "table1", "--cases", "1", "--methods", "bicubic", "dae", "--only", "x2")
    psnr = {row["method"]: float(row["psnr"]) for row in rows_of(results / "cases.csv")}
    assert psnr["dae"] > psnr["bicubic"]


def test_figure_2_writes_its_errors_and_its_picture(data, tmp_path, monkeypatch):
    short = functools.partial(figure2.figure2, training_steps=50)
    monkeypatch.setitem(paper.FIGURES, "figure2", (short, figure2.TITLE))
    results, pictures = command(data, tmp_path, "figure2")
    rows = rows_of(results / "figure2.csv")
    assert list(rows[0]) == ["field", "width", "error", "cosine", "scale"]
    optimal = [float(row["error"]) for row in rows if "optimal" in row["field"]]
    assert optimal == sorted(optimal) and optimal[0] < 0.05
    assert Image.open(pictures / "figure2.png").size[0] > 300


def test_figure_8_has_an_energy_and_a_psnr_an_iteration_and_is_not_computed_twice(data, tmp_path, monkeypatch):
    monkeypatch.setattr(figure8, "kodak", lambda data, *rest: levin(data, 1, 1, 0.01))
    real, built = figure8.build, []

    def short(*arguments, **options):
        built.append(arguments[0])
        return real(*arguments, **options, max_iter=3)

    monkeypatch.setattr(figure8, "build", short)
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
    monkeypatch.setattr(figure3, "PAPER_ITERATIONS", 10)
    monkeypatch.setattr(figure3, "STAGES", (0, 10))
    monkeypatch.setattr(figure3, "BOX", (64, 96, 64, 96))
    results, pictures = command(data, tmp_path, "figure3", "--methods", "dae-sigma25")
    first, last = rows_of(results / "figure3.csv")
    assert (first["iteration"], last["iteration"]) == ("0", "10")
    assert float(last["energy"]) < float(first["energy"])
    assert (pictures / "figure3.png").is_file()


def test_the_running_time_is_measured_once_a_machine(data, tmp_path, monkeypatch):
    monkeypatch.setattr(running_time, "levin_kernel", lambda data, number: np.ones((3, 3)))
    monkeypatch.setattr(running_time, "read", lambda path, box: torch.rand(1, 3, 130, 130))
    monkeypatch.setattr(running_time, "_time", lambda *arguments: (2.0, 1.0))
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


def test_nothing_is_downloaded_unless_asked(data, tmp_path, restored, monkeypatch):
    monkeypatch.setattr(download, "fetch", lambda folder: pytest.fail("downloads"))
    command(data, tmp_path, "table1", "--cases", "1", "--only", "x2")
