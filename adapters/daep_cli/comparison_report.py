"""``daep compare``: degrade a clean photograph, restore it by many methods, and write a table and figures."""

import io
import textwrap
from dataclasses import replace
from pathlib import Path

import typer
from deepinv.physics import GaussianNoise, LinearPhysics, ZeroNoise
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text
from torch import Tensor

from daep_cli.jobs.job import Job
from daep_cli.jobs.progress import progress_bar
from daep_cli.jobs.restore_options import Options
from daep_cli.networks import read_network
from daep_cli.paths import check_output_file, check_output_folder
from daep_cli.photographs.photo import Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tensors import centre, to_pixels, to_tensor
from daep_cli.photographs.value_range import ranged
from daep_cli.photographs.writing import write_photo
from daep_cli.screen import say
from daep_cli.whole_files import write_whole
from daep_compare import COLUMNS, Comparison, compare_each, known_methods, usual_methods
from daep_compare.figures import convergence, pictures
from daep_deepinv import degradation

TABLE, PICTURES, CURVES = "table.csv", "pictures.png", "convergence.png"
SMALLEST = 16
#: Characters of the longest remark in the printed table.
REMARK = 72


def run_comparison(
    source: Path,
    output: Path,
    options: Options,
    methods: str | None,
    crop: int | None,
    lpips: bool | None,
    overwrite: bool,
) -> None:
    """Compare methods on one photograph, and write a folder; see the options of ``daep compare``.

    :raises ValueError: unusable input or output; nothing has been computed or written.
    """
    names = None if methods is None else [name.strip() for name in methods.split(",") if name.strip()]
    if names is not None and (not names or set(names) - set(known_methods())):
        raise ValueError(f"--methods {methods}: expected names among {', '.join(known_methods())}.")
    job, sigma = Job(options), options.level or 0.0
    clean = _clean_image(source, crop, options.scale).to(job.device)
    physics = _physics(job, clean)
    names = list(usual_methods(physics, sigma)) if names is None else names
    files = [output / name for name in (TABLE, PICTURES, CURVES, *(f"{name}.png" for name in names))]
    check_output_folder(output, source)
    output.mkdir(exist_ok=True)
    for file in files:
        check_output_file(file, (".csv", ".png"), (source, *options.files), overwrite)
    network = read_network(options.denoiser or "dae", job.device)
    comparison, running = compare_each(
        clean, physics, names, sigma=sigma, denoiser=network, seed=options.seed, lpips=lpips
    )
    with progress_bar(len(names), source.name) as bar:
        for result in running:
            bar(advance=1)
            if result.image is not None:
                image = centre(result.image, comparison.judged(result.image))
                write_photo(Photo(to_pixels(image)), output / f"{result.method}.png", overwrite)
    write_whole(output / TABLE, comparison.to_csv().encode(), overwrite)
    for name, figure in ((PICTURES, pictures(comparison)), (CURVES, convergence(comparison))):
        write_whole(output / name, _png(figure), overwrite)
    typer.echo(_table(comparison))
    say(f"wrote {output}: {TABLE}, {PICTURES}, {CURVES} and the restored images")


def _clean_image(source: Path, crop: int | None, scale: int | None) -> Tensor:
    clean = to_tensor(ranged(read_photo(source)))
    if crop is not None:
        largest = min(clean.shape[-2:])
        if not SMALLEST <= crop <= largest:
            raise ValueError(f"--crop {crop}: expected {SMALLEST} to {largest} for this image.")
        clean = centre(clean, clean[..., :crop, :crop])
    if scale is not None:  # whole pixels of the reduced image
        height, width = (side - side % scale for side in clean.shape[-2:])
        clean = clean[..., :height, :width]
    return clean


def _physics(job: Job, clean: Tensor) -> LinearPhysics:
    """The forward model that degrades the clean image (1, C, H, W), with its noise."""
    photo, scale, sigma = Photo(to_pixels(clean)), job.options.scale, job.options.level or 0.0
    job.check(photo if scale is None else replace(photo, colour=photo.colour[::scale, ::scale]))
    if scale is None:
        _, physics = job.problem([job.measure(photo)])
    else:
        channels, height, width = clean.shape[1:]
        physics = degradation(None, scale, img_size=(channels, height, width), device=job.device)
    physics.noise_model = GaussianNoise(sigma).to(job.device) if sigma > 0 else ZeroNoise()
    return physics


def _table(comparison: Comparison) -> str:
    """The table as text, without empty columns, and with the first sentence of each remark."""
    rows = [result.row() for result in comparison.results]
    for row in rows:
        remark = row["remark"].removeprefix("ValueError: ").partition(". ")[0].rstrip(".")
        row["remark"] = textwrap.shorten(remark, REMARK, placeholder=" ...")
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


def _png(figure: Figure) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
