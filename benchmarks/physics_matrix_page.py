"""The page ``docs/physics-matrix.md`` from the rows of ``physics_matrix.py``."""

from collections import Counter
from pathlib import Path

#: DAEP() and DAEP("estimate") may lose this much against DAEP(level), in dB.
STATED_LOSS, ESTIMATE_LOSS = 0.3, 0.5
PEERS = ("dpir", "pnp", "anscombe", "tv", "inverse")
TITLES = ("sigma", "stated", "estimate", *PEERS)
HEAD = """# Which measurements DAEP restores

<!-- written by: python benchmarks/physics_matrix.py --page -->

deepinv has many forward operators and noise models. This page has a row for each combination that runs without a
download: what `DAEP` does with it, and what deepinv's own algorithms do with the same network. Look for the row of
your operator.

* The images are crops of 64 x 64 pixels of scikit-image's photographs. The noise has 5 % of the root mean square of
  the measurement, counting noise 10 %.
* Numbers are PSNR in dB for a peak of 1, at most 60, without the border that a `valid` blur does not measure. Phase
  retrieval is compared up to a global phase, unwrapping up to a constant. `-`: the method does not run.
* `DAEP(level)` assumes the true noise level, `DAEP()` the noise model of the physics. `DAEP("estimate")` estimates it.
* DPIR and plug-and-play (PnP, proximal gradient descent) use the network of DAEP, channel by channel where an image has
  other than one or three. TV is total variation, `A_dagger` deepinv's pseudo-inverse. PnP and TV have three settings
  each. The best of them counts, chosen with the clean image; DAEP has no such choice.
* The verdict compares `DAEP()` with the best of the others: **better** or **worse** by more than 0.15 dB,
  **level**, **refused** with a sentence that says why, **failed** with another error.
* Scattering: DAEP and PnP take the image as real, and start from the real part of `A_dagger`. A method has
  120 s. PnP has not tried all of its settings in that time.
  `DAEP("estimate")` takes longer.

"""
#: Why ``DAEP`` is behind, or what the other methods do where it refuses. Printed for rows that are.
NOTES = {
    "HyperSpectralUnmixing": "the noise of the abundances is up to four times as strong in some sums of the channels "
    "as in others, and the last denoising assumes one level.",
    "SpatialUnwrapping floor": "edges of more than half a period are ambiguous; where they are unwrapped wrongly, the "
    "image is farther from the truth than the measurement, from which total variation starts.",
    "StructuredRandom": "19 of 64 rows are not measured; how they are continued decides the figure. In the rows that "
    "are measured `DAEP()` has 37.2 dB, PnP with its best setting 30.0, with another 34.2.",
    "Haze": "no other reconstructor restores the three unknowns with a network: PGD fails for first images that are "
    "lists, dictionaries or the measurement, and DPIR needs a proximal step.",
    "SinglePhotonLidar": "PGD with PnP runs with steps of 1e-4 and 1e-6 from the pseudo-inverse, but the root mean "
    "square error of the depth rises from 0.59 to at least 3.6 bins. The call that the sentence gives has 0.57.",
}
COLUMNS = {
    "sigma": "`DAEP(level)`",
    "stated": "`DAEP()`",
    "estimate": '`DAEP("estimate")`',
    "dpir": "DPIR",
    "pnp": "PnP",
    "anscombe": "Anscombe",
    "tv": "TV",
    "inverse": "`A_dagger`",
}


def write_page(path: Path, rows: list[dict[str, str]], total: int | None = None) -> None:
    """Write the page.

    :param int total: number of rows there are, if some may not have been measured.
    """
    missing = 0 if total is None else total - len(rows)
    note = f"{missing} of the {total} combinations have not been measured yet; they have no row.\n\n"
    note = note if missing > 0 else ""
    path.write_text(HEAD + note + summary(rows) + table(rows) + refusals(rows) + notes(rows))


def summary(rows: list[dict[str, str]]) -> str:
    """How many rows have which verdict, and how often the noise is misread."""
    verdicts = Counter(row["verdict"] for row in rows)
    words = ", ".join(f"{verdicts[word]} {word}" for word in ("better", "level", "worse", "refused", "failed"))
    read = [(row, float(row["sigma"])) for row in rows if row["sigma"]]
    stated = sum(bool(row["stated"]) and float(row["stated"]) >= best - STATED_LOSS for row, best in read)
    estimate = sum(bool(row["estimate"]) and float(row["estimate"]) >= best - ESTIMATE_LOSS for row, best in read)
    return (
        f"Of {len(rows)} rows: {words}. Of the {len(read)} that `DAEP(level)` restores, `DAEP()` is at most "
        f'{STATED_LOSS} dB below it in {stated}, `DAEP("estimate")` at most {ESTIMATE_LOSS} dB in {estimate}.\n\n'
    )


def table(rows: list[dict[str, str]]) -> str:
    """One line a row; the best number of a line in bold."""
    lines = [["operator", "noise", "image", "verdict", *COLUMNS.values()], ["---"] * (4 + len(COLUMNS))]
    for row in rows:
        best = max((row[name] for name in TITLES if row[name]), key=float, default="")
        values = [f"**{row[name]}**" if row[name] and row[name] == best else row[name] or "-" for name in COLUMNS]
        lines.append([row["operator"], row["noise"], row["kind"], row["verdict"], *values])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def refusals(rows: list[dict[str, str]]) -> str:
    """What DAEP says where it refuses a measurement."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row["verdict"] in ("refused", "failed"):
            text = row["errors"].partition("sigma: ")[2].partition("; stated: ")[0]
            said.setdefault(text, []).append(f"{row['operator']} ({row['kind']})")
    if not said:
        return ""
    lines = [f"* {', '.join(dict.fromkeys(names))}:\n  `{text}`\n" for text, names in said.items()]
    return "\n## What the refusals say\n\n" + "".join(lines)


def notes(rows: list[dict[str, str]]) -> str:
    """Why rows are worse, and what the other methods do in rows that are refused."""
    behind = dict.fromkeys(row["operator"] for row in rows if row["verdict"] in ("worse", "refused"))
    lines = [f"* {name}: {NOTES[name]}\n" for name in behind if name in NOTES]
    return "\n## Where DAEP is behind\n\n" + "".join(lines) if lines else ""
