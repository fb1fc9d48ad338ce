"""``daep restore --samples``: one restored image, and by posterior samples the expected error of each pixel."""

import time
import warnings
from pathlib import Path

import numpy as np

from daep_cli.jobs.deviation_files import deviation_tiff, heat_map
from daep_cli.jobs.job import Job, in_terms_of_options
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.parts import LARGEST_AT_ONCE
from daep_cli.jobs.progress import progress_bar
from daep_cli.jobs.restore_options import Options
from daep_cli.paths import check_output_file
from daep_cli.photographs.photo import PNG, TIFF
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.tensors import centre
from daep_cli.photographs.writing import check_writable_as, encode
from daep_cli.screen import say
from daep_cli.whole_files import write_whole
from daep_deepinv.noise.model import NoiseWarning


def check_uncertainty(source: Path, output: Path, options: Options, overwrite: bool) -> None:
    """Refuse a folder, and a file for the deviation that cannot be written.

    :raises ValueError: with what to do instead.
    """
    if source.is_dir():
        raise ValueError(f"--samples {options.samples}: needs one image, but {source} is a folder; name a file of it.")
    if options.uncertainty is None:
        return
    check_output_file(options.uncertainty, PNG | TIFF, (source, *options.files), overwrite, option="--uncertainty")
    if options.uncertainty.resolve() == output.resolve():
        raise ValueError(f"--uncertainty {options.uncertainty}: is the result of -o, too; choose another name.")


def sample_file(source: Path, output: Path, job: Job, overwrite: bool) -> None:
    """Write the restored image, and with ``--uncertainty`` its expected error by samples.

    The files are written when both are complete. Ctrl-C writes nothing.

    :raises ValueError: unusable input; nothing has been written.
    """
    options, number = job.options, job.options.samples or 0
    pages = count_pages(source)
    if pages > 1:
        raise ValueError(f"--samples {number}: needs one image, but {source} has {pages} pages; give one of them.")
    photo = read_photo(source)
    check_writable_as(photo, output, options.format)
    measured = job.measure(photo)
    _check(measured, job)
    (y, physics), plan, began = job.problem([measured]), job.plan_of(measured), time.perf_counter()
    with warnings.catch_warnings(), in_terms_of_options(), progress_bar(number, source.name) as bar:
        warnings.simplefilter("ignore", NoiseWarning)  # the summary reports it
        found = job.model(measured).posterior(y, physics, number, options.seed, callback=lambda _: bar(advance=1))
    result = job.photo(found.mean, measured)
    width, height = result.size
    inner = centre(found.deviation, found.deviation[..., :height, :width])
    deviation = inner[0].permute(1, 2, 0).double().cpu().numpy()
    if measured.exact_where_known(options.scale or 1):
        known = np.ones((height, width), bool) if measured.known is None else measured.known
        deviation = np.where(known[..., None], 0, deviation)
    content = encode(result, output.suffix)
    if options.uncertainty is not None:
        draw = deviation_tiff if options.uncertainty.suffix.lower() in TIFF else heat_map
        write_whole(options.uncertainty, draw(deviation, result.black, result.white), overwrite)
    write_whole(output, content, overwrite)
    seconds, error = time.perf_counter() - began, 255 * float(np.sqrt(np.mean(deviation**2)))
    what = f"{number} samples, expected error {error:.3g} where white is 255"
    say(f"{output}: {width} x {height} pixels in {seconds:.1f} s ({what}; {job.summary(plan, measured)})")


def _check(measured: Measurement, job: Job) -> None:
    """Refuse what has no deviation in the values of the file, and what is too large."""
    number, pixels = job.options.samples, job.pixels(*measured.photo.size)
    if measured.curve is not None:
        raise ValueError(f"--samples {number}: gives no deviation of amounts of light; add --no-linear.")
    if pixels > LARGEST_AT_ONCE:
        raise ValueError(
            f"--samples {number}: the result would have {pixels / 1e6:.0f} million pixels, at most "
            f"{LARGEST_AT_ONCE / 1e6:.0f} are possible; cut the image into parts."
        )
