"""``daep restore --explain``: print how images would be restored."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import typer

from daep_cli.errors import complaint
from daep_cli.jobs.job import Job, range_of
from daep_cli.jobs.measurement import Measurement
from daep_cli.jobs.parts import stack_ranges, with_range
from daep_cli.jobs.progress import blur_bar
from daep_cli.kernels.blind import BLIND
from daep_cli.noise_option import AUTO
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.screen import about, complain, say
from daep_cli.wording import in_options
from daep_deepinv import Plan

#: What is assumed of a blur that is found, without and with ``--varying``.
ASSUMED = ("one blur over the whole image", "a blur that varies slowly over the image")


def print_plans(sources: Iterable[Path], job: Job) -> int:
    """Print the plan of each image; a plan that was printed before is named. Nothing is restored or written.

    :return: number of images that cannot be restored. An error of each was printed.
    """
    failed, printed = 0, dict[str, Path]()
    for source in sources:
        try:
            with about(source.name):
                rows = _rows_of(source, job)
            width = max(map(len, rows))
            plan = "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())
        except Exception as error:
            complain(complaint(error, source))
            failed += 1
            continue
        if plan in printed:
            say(f"{source}: as {printed[plan]}")
            continue
        printed[plan] = source
        say(f"{source}:")
        for line in plan.splitlines():
            typer.echo(f"  {line}")
    return failed


def _rows_of(source: Path, job: Job) -> dict[str, str]:
    pages, photo = count_pages(source), read_photo(source, 0)
    if pages > 1:
        photo = with_range(photo, stack_ranges(source, pages, job))
    with blur_bar(source.name) if job.options.kernel == BLIND else nullcontext() as follow:
        measured = job.measure(photo, 0, pages, follow)
    return _rows(job, measured, job.plan_of(measured), pages)


def _rows(job: Job, measured: Measurement, plan: Plan, pages: int) -> dict[str, str]:
    """Name -> what is decided, in words, in terms of the file and of the options."""
    options, photo, restored = job.options, measured.photo, plan.image_shape[:0:-1]
    width, height = photo.size
    image = f"{width} x {height} pixels, {plan.channels}"
    if options.scale is not None:
        image += f", enlarged to {restored[0]} x {restored[1]}"
    elif restored != photo.size:
        image += f", with the border that the blur reaches {restored[0]} x {restored[1]}"
    if options.kernel == BLIND and measured.kernel is None:
        return {"image": image, "blur": measured.blur}
    if options.noise == AUTO and plan.noise.source == "given":  # by the search for the blur
        plan = replace(plan, noise=replace(plan.noise, source="estimated"))
    values = range_of(photo.range, options.white) or f"white {photo.white:g}"
    rows = plan.rows() | {"image": image, "range": f"{plan.range}; 1 is {values}"}
    if pages > 1:
        rows["pages"] = str(pages)
    if measured.blur:
        of = "the values of the file" if measured.curve is None else "amounts of light"
        rows["blur"] = f"{measured.blur}; assumed: {ASSUMED[options.varying]}, of {of}"
    if options.samples:
        rows["samples"] = f"{options.samples}, from this restoration"
    return {name: in_options(text) for name, text in rows.items()}
