"""Running a study, continuing it, and the means of its cases."""

import dataclasses

import pytest
from csv_table import Table
from reproduction import run as reproduction_run
from reproduction import studies, summary
from reproduction.methods import METHODS
from reproduction.run import measure
from rich.console import Console

#: Methods of Table 1 whose networks are there.
RUNNABLE = len(studies.STUDIES["table1"].methods) - 1


def test_what_has_been_measured_is_not_measured_again(run, restored):
    study = studies.STUDIES["table1"]
    measure(study, dataclasses.replace(run, cases=1), Console(quiet=True))
    first = len(restored)
    assert first == 4 * RUNNABLE, "four factors; the authors' network is not in this folder"
    measure(study, run, Console(quiet=True))
    assert len(restored) == 2 * first
    assert len(set(restored)) == len(restored)


def test_an_interrupted_run_continues_where_it_stopped(run, restored, monkeypatch):
    study = studies.STUDIES["table1"]
    whole = reproduction_run.restore

    def interrupted(*arguments):
        if len(restored) == 5:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(reproduction_run, "restore", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(study, run, Console(quiet=True))
    assert len(run.store().rows) == 5
    monkeypatch.setattr(reproduction_run, "restore", whole)
    measure(study, run, Console(quiet=True))
    assert len(run.store().rows) == len(set(restored)) == len(restored) == 4 * 2 * RUNNABLE


def test_an_interrupted_run_has_about_as_many_cases_of_every_cell(run, restored):
    study = studies.STUDIES["table3"]
    measure(study, run, Console(quiet=True))
    order = [(row["cell"], row["case"]) for row in run.store().rows if row["method"] == "dae"]
    assert [cell for cell, _ in order[:3]] == [cell.name for cell in study.cells]
    assert {case for _, case in order[:3]} == {"im1/k1"}


def test_again_measures_only_the_methods_and_cells_named(run, restored):
    study = studies.STUDIES["table1"]
    measure(study, run, Console(quiet=True))
    restored.clear()
    again = dataclasses.replace(run, methods=["dae"], only="x3", again=True)
    measure(study, again, Console(quiet=True))
    assert len(restored) == 2 and {method for _, method in restored} == {METHODS["dae"]}
    assert len(run.store().rows) == 4 * 2 * RUNNABLE


def test_a_mean_counts_its_cases_and_the_gain_is_over_the_shared_ones(tmp_path):
    cell = studies.STUDIES["table1"].cells[1]
    store = Table(tmp_path / "cases.csv", "cell", "case", "method")
    figures = {"authors": {"butterfly": 27.0, "bird": 35.0}, "dae": {"bird": 35.5, "head": 31.0, "baby": 34.0}}
    for method, cases in figures.items():
        for case, psnr in cases.items():
            store.add({"cell": cell.name, "case": case, "method": method, "psnr": f"{psnr}", "machine": ""})
    found = summary.entry(cell, "dae", store)
    assert found == summary.Entry(pytest.approx(33.5), 3, 5, pytest.approx(0.5), 1)
    assert summary.entry(cell, "dae-sigma25", store) is None
    rows = {(row["source"], row["method"]): row for row in summary.summary(studies.STUDIES["table1"], store)}
    row = rows["here", "authors"]
    assert (row["psnr"], row["cases"], row["of"], row["difference"]) == ("31.00", "2", "5", ""), "a subset has none"


def test_a_complete_cell_shows_its_difference_to_the_paper(tmp_path):
    study = studies.STUDIES["table1"]
    cell = study.cells[1]
    store = Table(tmp_path / "cases.csv", "cell", "case", "method")
    for case in cell.cases:
        store.add({"cell": cell.name, "case": case, "method": "authors", "psnr": "31.54", "machine": ""})
    row = next(r for r in summary.summary(study, store) if r["source"] == "here")
    assert row["difference"] == "+0.10"
    line = next(r for r in summary.grid(study, store) if r[0] == METHODS["authors"].label)
    assert line == [METHODS["authors"].label, "", "31.54 (all 5; +0.10)", "", ""]


@pytest.mark.parametrize(("value", "text"), [(-0.004, "+0.00"), (-0.006, "-0.01"), (0.3, "+0.30")])
def test_a_difference_is_never_minus_zero(value, text):
    assert summary.signed(value) == text
