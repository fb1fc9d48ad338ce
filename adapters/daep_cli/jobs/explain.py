"""``daep restore --explain``: print how images would be restored."""

from collections.abc import Iterable
from pathlib import Path

import typer

from daep_cli.errors import complaint
from daep_cli.jobs.job import Job
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.screen import complain, say


def print_plans(sources: Iterable[Path], job: Job) -> int:
    """Print the plan of each image; a plan that was printed before is named. Nothing is restored or written.

    :return: number of images that cannot be restored. An error of each was printed.
    """
    failed, printed = 0, dict[str, Path]()
    for source in sources:
        try:
            pages = count_pages(source)
            plan = str(job.plan(read_photo(source, 0), pages)) + (f"\npages      {pages}" if pages > 1 else "")
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
