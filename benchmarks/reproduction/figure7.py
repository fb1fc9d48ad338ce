"""The picture of Figure 7 of the paper; its table is a study."""

from __future__ import annotations

from protocol import read

from reproduction import plots
from reproduction.methods import METHODS, restore
from reproduction.run import Run, keep, kept
from reproduction.studies import STUDIES


def figure7_picture(run: Run, image: str = "butterfly") -> None:
    """The first image under all methods measured. Restored images that have been deleted are restored again."""
    study, store, rows = STUDIES["figure7"], run.store(), []
    for cell in study.cells:
        if image not in cell.cases:
            continue
        case = cell.cases[image](run.data)
        row = [("original", case.clean)]
        for name in study.methods:
            measured = store.find(cell.name, image, name)
            if measured is None:
                continue
            path = kept(run, cell.name, image, name)
            if not path.exists():
                keep(restore(METHODS[name], case, run.data, run.device), run, cell.name, image, name)
            label = cell.column if name == "measurement" else METHODS[name].label.replace(", ", ",\n")
            row.append((f"{label}\n{float(measured['psnr']):.2f} dB", read(path)))
        rows.append(row)
    plots.images(rows, study.title, run.pictures / "figure7.png", side=2.3)
