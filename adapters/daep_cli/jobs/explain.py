"""``daep restore --explain``: print how images would be restored."""

from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path

import typer

from daep_cli.errors import complaint
from daep_cli.jobs.job import Job
from daep_cli.jobs.progress import blur_bar
from daep_cli.kernels.blind import BLIND
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.screen import complain, say

#: What is assumed of a blur that is found, without and with ``--varying``.
ASSUMED = ("one blur over the whole image", "a blur that varies slowly over the image")


def print_plans(sources: Iterable[Path], job: Job) -> int:
    """Print the plan of each image; a plan that was printed before is named. Nothing is restored or written.

    :return: number of images that cannot be restored. An error of each was printed.
    """
    failed, printed = 0, dict[str, Path]()
    for source in sources:
        try:
            pages = count_pages(source)
            with blur_bar(source.name) if job.options.kernel == BLIND else nullcontext() as follow:
                measured = job.measure(read_photo(source, 0), 0, pages, follow)
            plan = str(job.plan_of(measured)) + (f"\npages      {pages}" if pages > 1 else "")
            if measured.blur:
                of = "the values of the file" if measured.curve is None else "amounts of light"
                plan += f"\nblur       {measured.blur}; assumed: {ASSUMED[job.options.varying]}, of {of}"
            plan += f"\nsamples    {job.options.samples}, from this restoration" if job.options.samples else ""
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
