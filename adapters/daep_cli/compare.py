"""``daep compare``: degrade a clean photograph, restore it by many methods, and write table, pictures and curves."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deepinv.physics import GaussianNoise, LinearPhysics, ZeroNoise
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from daep_cli.images import Photo, read_photo, write_photo
from daep_cli.networks import read_network
from daep_cli.noise import AUTO
from daep_cli.outputs import check_output_file, write_whole
from daep_cli.progress import progress_bar
from daep_cli.restore import Job, Measurement, Options
from daep_cli.tensors import centre, to_pixels, to_tensor
from daep_compare import COLUMNS, Comparison, compare_each, known_methods, usual_methods
from daep_compare.figures import convergence, pictures
from daep_deepinv import degradation

__all__ = ["run_comparison"]

TABLE, PICTURES, CURVES = "table.csv", "pictures.png", "convergence.png"
SMALLEST = 16
#: Characters of the longest remark of the printed table.
REMARK = 64
#: Our extras that bring a package.
EXTRAS = {"ptwt": "compare"}


def run_comparison(
    source: Path,
    output: Path,
    options: Options,
    methods: str | None,
    crop: int | None,
    lpips: bool | None,
    overwrite: bool,
    report: Callable[[str], None],
) -> None:
    """Compare on one photograph and write a folder: the table, the figures, and every restored image.

    :param Path source: clean photograph.
    :param Path output: folder of the results; made if it is not there.
    :param str methods: names, separated by commas; ``None``: all that run without a download.
    :param int crop: use the middle square of that side only.
    :param Callable report: called with lines of text.
    :raises ValueError: unusable input or output; nothing has been computed or written.
    """
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    if names is not None and (not names or set(names) - set(known_methods())):
        raise ValueError(f"--methods {methods}: expected names among {', '.join(known_methods())}.")
    if not isinstance(options.sigma, float):
        raise ValueError(f"--noise {AUTO}: give a number; compare adds the noise, so there is nothing to estimate.")
    job = Job(options)
    clean = _clean_image(source, crop, job).to(job.device)
    physics = _physics(job, clean)
    names = list(usual_methods(physics, options.sigma)) if names is None else names
    files = [output / name for name in (TABLE, PICTURES, CURVES, *(f"{name}.png" for name in names))]
    _prepare(output, files, (source, *job.files), overwrite)
    network = read_network(options.denoiser or "dae", job.device)
    comparison, running = compare_each(
        clean, physics, names, sigma=options.sigma, denoiser=network, seed=options.seed, lpips=lpips
    )
    with progress_bar() as bar:
        bar.extend(len(names), source.name)
        for result in running:
            bar.advance(1.0)
            if result.image is not None:
                image = centre(result.image, comparison.judged(result.image))
                write_photo(Photo(to_pixels(image)), output / f"{result.method}.png", overwrite)
    write_whole(output / TABLE, comparison.to_csv().encode(), overwrite)
    for file, figure in ((PICTURES, pictures(comparison)), (CURVES, convergence(comparison))):
        write_whole(output / file, _png(figure), overwrite)
    for line in _table(comparison).splitlines():
        report(line)
    report(f"wrote {output}: {TABLE}, {PICTURES}, {CURVES} and the restored images")


def _clean_image(source: Path, crop: int | None, job: Job) -> Tensor:
    clean = to_tensor(read_photo(source))
    if crop is not None:
        largest = min(clean.shape[-2:])
        if not SMALLEST <= crop <= largest:
            raise ValueError(f"--crop {crop}: expected {SMALLEST} to {largest} for this image.")
        clean = centre(clean, clean[..., :crop, :crop])
    if job.options.scale is not None:  # whole pixels of the reduced image
        height, width = (side - side % job.options.scale for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
    return clean


def _physics(job: Job, clean: Tensor) -> LinearPhysics:
    photo, sigma = Photo(to_pixels(clean)), job.options.sigma or 0.0
    job.check(photo if job.options.scale is None else replace(photo, colour=photo.colour[:: job.options.scale]))
    if job.options.scale is not None:
        channels, height, width = clean.shape[1:]
        physics = degradation(None, job.options.scale, img_size=(channels, height, width), device=job.device)
    else:
        physics = job.physics(Measurement(photo, sigma))
    physics.noise_model = GaussianNoise(sigma).to(job.device) if sigma > 0 else ZeroNoise()
    return physics


def _prepare(output: Path, files: list[Path], inputs: tuple[Path, ...], overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise ValueError(f"-o {output}: is a file; name a folder.")
    if not output.exists():
        if not output.parent.is_dir():
            raise ValueError(f"-o {output}: the folder {output.parent} does not exist; create it first.")
        output.mkdir()
    for file in files:
        check_output_file(file, (".csv", ".png"), inputs, overwrite)


def _table(comparison: Comparison) -> str:
    """The table as text, without empty columns; the file holds the whole remarks."""
    rows = [{**result.row(), "remark": _short(result.remark)} for result in comparison.results]
    table = Table(box=None, pad_edge=False)
    columns = [column for column in COLUMNS if any(row[column] for row in rows)]
    for column in columns:
        heading = column.replace(" ", "\n")
        table.add_column(heading, justify="left" if column in ("method", "remark") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row[column]) for column in columns))
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _short(remark: str) -> str:
    """The first sentence of a remark, or what to install."""
    for package, extra in EXTRAS.items():
        if f"pip install {package}" in remark:
            return f'needs pip install "daep-prior[{extra}]"'
    sentence, _, _ = remark.removeprefix("ValueError: ").partition(". ")
    return textwrap.shorten(sentence.rstrip("."), REMARK, placeholder=" ...")


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
