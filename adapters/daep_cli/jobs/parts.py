"""Images in parts: the pages of a stack, and the blocks of an image that is too large to be restored at once.

The results of parts are files in a hidden folder beside the result. It remains after an interruption, so the same
command continues. No more than a few parts are in memory at a time.
"""

import hashlib
import itertools
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from daep_cli.errors import Interrupted, one_line
from daep_cli.jobs.file_noise import NOISE_SIDE
from daep_cli.jobs.job import Job, range_of
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.progress import progress_bar
from daep_cli.masks import check_marked
from daep_cli.photographs.changed_metadata import enlarged
from daep_cli.photographs.photo import FITS, TIFF, Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.tiff_writing import encode_tiff, write_tiff
from daep_cli.photographs.value_range import Ranges, find_ranges
from daep_cli.photographs.writing import encode
from daep_cli.whole_files import write_whole
from daep_deepinv import Plan
from daep_deepinv.blind.varying_kernel import VaryingKernel
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.noise.variance import QuadraticVariance
from daep_deepinv.reconstructor import ESTIMATE

#: Images of more pixels are restored in blocks. Some ten copies in float32 are needed at a time: 4 GB in colour.
LARGEST_AT_ONCE = 2**25
#: Side of a block in pixels, and what it sees of its surroundings beyond the reach of the kernel. The network sees 110
#: pixels far; beyond 64 its answer changes by less than the rounding to 8 bits.
BLOCK, SURROUNDINGS = 2048, 64
#: Blocks begin at multiples of this, the coarsest pixel of the networks, so that the network sees the same grid in all.
GRID = 8


class Parts:
    """Results of the parts of one result, on the disk.

    :param Path source: the file that is restored.
    :param Path output: the result.
    :param Job job: another source, other options or changed files make other parts.
    """

    def __init__(self, source: Path, output: Path, job: Job):
        token = hashlib.sha256(os.fsencode(output.name)).hexdigest()[:16]
        stamps = [
            (path, path.stat().st_size, path.stat().st_mtime_ns)
            for path in (source, *job.options.files)
            if path.exists()
        ]
        key = hashlib.sha256(repr((stamps, job.options)).encode()).hexdigest()[:16]
        self.others = output.parent, f".daep-{token}-*.parts"
        self.folder = output.with_name(f".daep-{token}-{key}.parts")

    def path(self, number: int) -> Path:
        """Where the result of a part is; it is complete if it exists."""
        return self.folder / f"{number:06d}.tif"

    def write(self, number: int, photo: Photo) -> None:
        """Write the result of a part, whole or not at all."""
        self.folder.mkdir(exist_ok=True)
        write_whole(self.path(number), encode_tiff(photo), overwrite=True)

    def remove(self) -> None:
        """Remove the parts of the result, those of earlier commands included."""
        parent, pattern = self.others
        for folder in parent.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def _run(parts: Parts, count: int, name: str, job: Job, measure: Callable[[int], Measurement], noun: str) -> int:
    """Restore the parts that have no result yet, those of equal size in batches; returns how many."""
    todo = [number for number in range(count) if not parts.path(number).exists()]
    done = count - len(todo)
    try:
        with progress_bar(count, name) as bar:
            bar(advance=done)

            def measured() -> Iterator[tuple[int, Measurement]]:
                nonlocal done
                for number in todo:
                    one = measure(number)
                    if one.nothing_known:
                        parts.write(number, job.as_it_is(one))
                        bar(advance=1)
                        done += 1
                    else:
                        yield number, one

            for batch in _batches(job, measured()):
                first, shown = batch[0][0] + 1, 0.0
                bar(description=one_line(f"{name}, {noun} {first} of {count}"))

                def follow(plan: Plan, _: int, images: Tensor) -> None:
                    nonlocal shown
                    shown += len(images) / len(plan.schedule)
                    bar(advance=len(images) / len(plan.schedule))

                results = job.run([one for _, one in batch], follow)
                bar(advance=len(batch) - shown)
                for (number, _), (photo, _) in zip(batch, results, strict=True):
                    parts.write(number, photo)
                    done += 1
    except KeyboardInterrupt as error:
        raise Interrupted(f"after {done} of {count} {noun}s; the same command continues from here.") from error
    return len(todo)


def _batches(job: Job, measured: Iterator[tuple[int, Measurement]]) -> Iterator[list[tuple[int, Measurement]]]:
    batch: list[tuple[int, Measurement]] = []
    for number, one in measured:
        pixels = (len(batch) + 1) * job.pixels(*one.photo.size)
        if batch and (pixels > job.batch_pixels or not batch[-1][1].alike(one)):
            yield batch
            batch = []
        batch.append((number, one))
    if batch:
        yield batch


# -- stacks ------------------------------------------------------------------------------------------------------------


def check_stack_output(output: Path, pages: int) -> None:
    """Refuse a format that holds one image.

    :raises ValueError: with what to do instead.
    """
    if output.suffix.lower() not in TIFF | FITS:
        raise ValueError(f"-o {output}: cannot store {pages} images; use .tif.")


def restore_stack(source: Path, output: Path, pages: int, job: Job, temporary: Path) -> str:
    """Restore the pages of a file in their order, and write them to ``temporary``.

    All pages have the same range, so that their values remain comparable.

    :return: what was done, for the line that is printed.
    :raises Interrupted: Ctrl-C; the pages that are done remain.
    """
    check_stack_output(output, pages)
    began, spans = time.perf_counter(), stack_ranges(source, pages, job, output.suffix.lower() in FITS)
    parts = Parts(source, output, job)
    pixels = 0

    def measure(page: int) -> Measurement:
        nonlocal pixels
        photo = read_photo(source, page)
        pixels += photo.size[0] * photo.size[1]
        if photo.missing is not None and photo.missing.all():
            return Measurement(photo, 0.0, ~photo.missing)
        photo = with_range(photo, spans)
        return job.measure(photo, page, pages)

    restored = _run(parts, pages, source.name, job, measure, "page")
    seconds = time.perf_counter() - began
    files = [parts.path(page) for page in range(pages)]
    if output.suffix.lower() in FITS:
        from daep_cli.photographs.fits import write_cube

        metadata, factor = read_photo(source, 0).metadata, job.options.scale or 1
        metadata = metadata if factor == 1 else enlarged(metadata, 0, 0, factor)
        write_cube(temporary, metadata.header, (read_photo(file) for file in files), pages)
    else:
        with temporary.open("w+b") as file:
            first = read_photo(files[0])
            size = pages * (first.colour.nbytes + (0 if first.alpha is None else first.alpha.nbytes))
            write_tiff(file, (read_photo(path) for path in files), size)
            os.fsync(file.fileno())
    parts.remove()
    rate = f", {pixels / 1e6 / seconds:.3g} million pixels a second" if restored else ""
    values = "".join(f", {range_of(span, job.options.white)}" for span in spans.values() if span is not None)
    return f"{pages} pages in {seconds:.1f} s ({job.options.task}{values}{rate})"


def stack_ranges(source: Path, pages: int, job: Job, cube: bool = False) -> Ranges:
    """Black and white of the pages of each number type, see :func:`find_ranges`.

    :param bool cube: the pages become planes of a FITS cube.
    :raises ValueError: pages that cannot be planes of one cube, or ``--missing`` marks no pixel of any page.
    """
    kinds = set()

    def read() -> Iterator[Photo]:
        for page in range(pages):
            photo = read_photo(source, page)
            kinds.add((photo.colour.shape, photo.colour.dtype, photo.alpha is None))
            yield photo

    spans = find_ranges(read(), job.options.white, job.options.black)
    if cube and (len(kinds) > 1 or any(shape[2] > 1 or not opaque for shape, _, opaque in kinds)):
        raise ValueError(f"{source}: its pages are not grey, of one size and of one type, as in FITS; use -o NAME.tif.")
    if job.options.missing is not None:
        ranged = (with_range(read_photo(source, page), spans) for page in range(pages))
        check_marked(ranged, job.options.missing)
    return spans


def with_range(photo: Photo, spans: Ranges) -> Photo:
    """A page with the range of the pages of its type."""
    return replace(photo, range=spans[photo.colour.dtype] or (0.0, photo.white))


# -- large images ------------------------------------------------------------------------------------------------------


def restore_blocks(source: Path, output: Path, measured: Measurement, job: Job) -> tuple[bytes, str]:
    """Restore an image in overlapping blocks.

    The noise is estimated, or checked, in the middle of the image, so that all blocks are restored alike.

    :return: the content of the result, and what was done.
    :raises Interrupted: Ctrl-C; the blocks that are done remain.
    """
    photo, factor = measured.photo, job.options.scale or 1
    if isinstance(measured.kernel, VaryingKernel):
        raise ValueError(
            f"--varying: restores at most {LARGEST_AT_ONCE} pixels; reduce the image, or cut it into parts."
        )
    parts, began = Parts(source, output, job), time.perf_counter()
    measured, noise = _with_one_noise(measured, job)
    width, height = photo.size
    reach = SURROUNDINGS + (0 if measured.kernel is None else max(measured.kernel.shape[-2:]) // 2)
    reach += -reach % GRID
    places = list(itertools.product(range(0, height, BLOCK), range(0, width, BLOCK)))
    outer = [[_span(start, n, reach) for start, n in zip(place, (height, width), strict=True)] for place in places]

    pixels = 0

    def measure(number: int) -> Measurement:
        nonlocal pixels
        top, left = places[number]
        pixels += min(BLOCK, height - top) * min(BLOCK, width - left)
        return measured.part(*outer[number])

    _run(parts, len(places), source.name, job, measure, "block")
    first = read_photo(parts.path(0))
    shape = (height * factor, width * factor)
    colour = np.empty((*shape, first.colour.shape[2]), first.colour.dtype)
    alpha = None if first.alpha is None else np.empty(shape, first.alpha.dtype)
    for number, ((top, left), (rows, columns)) in enumerate(zip(places, outer, strict=True)):
        block = read_photo(parts.path(number))
        inner = tuple(
            slice(factor * (start - span.start), factor * (min(start + BLOCK, n) - span.start))
            for start, span, n in ((top, rows, height), (left, columns, width))
        )
        here = tuple(
            slice(factor * start, factor * min(start + BLOCK, n)) for start, n in ((top, height), (left, width))
        )
        colour[here] = block.with_nan()[inner]
        if alpha is not None and block.alpha is not None:
            alpha[here] = block.alpha[inner]
    result = measured.finished(colour, alpha, factor)
    values = range_of(measured.photo.range, job.options.white)
    values = f", {values}" if values else ""
    content = encode(result if job.options.format is None else replace(result, range=None), output.suffix)
    parts.remove()
    seconds = time.perf_counter() - began
    # of the blocks that were restored now: others may be of a command that was interrupted
    rate = f", {pixels / 1e6 / seconds:.3g} million pixels a second" if pixels else ""
    return (
        content,
        f"{shape[1]} x {shape[0]} pixels in {seconds:.1f} s ({job.options.task}{noise}{values}, {len(places)} blocks"
        f"{rate})",
    )


def _with_one_noise(measured: Measurement, job: Job) -> tuple[Measurement, str]:
    """The measurement with the noise of all its blocks, and what is said of it."""
    said = f", {measured.blur}" if measured.blur else ""
    if measured.noise != ESTIMATE and (measured.checked or not job.options.check_noise or measured.kernel is None):
        return measured, said
    noise = job.plan_of(measured.middle(NOISE_SIDE)).noise
    if measured.noise == ESTIMATE:
        said += f", noise {255 * noise.level:.2f} as estimated"
    elif noise.assumed is not None:
        said += f", for noise {255 * noise.level:.3g} instead of {255 * noise.assumed:.3g}"
    else:
        return measured._replace(checked=True), said
    level: float | SignalNoise = noise.level
    if isinstance(noise.law, QuadraticVariance) and noise.law.linear > 0 and noise.law.quadratic == 0:
        level = SignalNoise(noise.law.linear, math.sqrt(max(0.0, noise.law.constant)))
    return measured._replace(noise=level, checked=True), said


def _span(start: int, side: int, reach: int) -> slice:
    return slice(max(0, start - reach), min(side, start + BLOCK + reach))
