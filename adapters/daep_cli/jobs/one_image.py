"""``daep restore`` on one file; Ctrl-C saves the latest iterate, or the pages that are done."""

import time
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor

from daep_cli.errors import Interrupted
from daep_cli.jobs.claims import Claim
from daep_cli.jobs.found_blur import write_found_kernel
from daep_cli.jobs.job import Job
from daep_cli.jobs.parts import LARGEST_AT_ONCE, check_stack_output, restore_blocks, restore_stack
from daep_cli.jobs.progress import blur_bar, progress_bar
from daep_cli.kernels.blind import BLIND
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.writing import check_writable_as, write_photo
from daep_cli.screen import about, iterations_text, say
from daep_cli.whole_files import put_in_place, write_whole
from daep_deepinv import DAEPrior, Plan

#: Noise level of an iterate relative to the kernel width of its iteration. Measured for deblurring and denoising: from
#: the eighth iteration on 0.3 to 0.6 are equally good; before, 0.3 is best.
REMAINING_NOISE = 0.3


def restore_file(source: Path, output: Path, job: Job, overwrite: bool) -> None:
    """Restore one file and write the result, whole or not at all. Ctrl-C writes the latest iterate.

    :raises ValueError: unusable input or noise; nothing has been written.
    :raises Interrupted: Ctrl-C; the message says what was written.
    """
    with about(source.name):
        _restore_file(source, output, job, overwrite)


def _restore_file(source: Path, output: Path, job: Job, overwrite: bool) -> None:
    pages = count_pages(source)
    if pages > 1:
        if job.options.kernel_out is not None:
            raise ValueError("--kernel-out: each page has a kernel of its own; give one page, or leave it out.")
        _restore_pages(source, output, pages, job, overwrite)
        return
    photo = read_photo(source)
    check_writable_as(photo, output, job.options.format)
    began = time.perf_counter()
    with blur_bar(source.name) if job.options.kernel == BLIND else nullcontext() as follow_blur:
        measured = job.measure(photo, follow=follow_blur)
    if job.options.kernel_out is not None:
        write_found_kernel(measured, job.options.kernel_out, overwrite)
    if job.pixels(*photo.size) > LARGEST_AT_ONCE:
        content, what = restore_blocks(source, output, measured, job)
        write_whole(output, content, overwrite)
        say(f"{output}: {what}")
        return
    latest: list[tuple[Plan, int, Tensor]] = []
    try:
        with progress_bar(1, source.name) as bar:

            def follow(plan: Plan, iteration: int, image: Tensor) -> None:
                latest[:] = [(plan, iteration, image)]
                bar(advance=1 / len(plan.schedule))

            ((result, plan),) = job.run([measured], follow)
    except KeyboardInterrupt as error:
        if not latest:
            raise
        plan, iteration, image = latest[0]
        write_photo(job.photo(cleaned(image, plan, iteration, DAEPrior(job.network)), measured), output, overwrite)
        done, again = f"{iteration + 1} of {iterations_text(len(plan.schedule))}", "; give --overwrite to start again"
        raise Interrupted(f"after {done}; {output} contains that iterate{'' if overwrite else again}.") from error
    seconds = time.perf_counter() - began
    write_photo(result, output, overwrite)
    width, height = result.size
    say(f"{output}: {width} x {height} pixels in {seconds:.1f} s ({job.summary(plan, measured)})")


def _restore_pages(source: Path, output: Path, pages: int, job: Job, overwrite: bool) -> None:
    check_stack_output(output, pages)
    claim = Claim(output)
    if not claim.take():
        raise ValueError(f"-o {output}: another process restores it; wait until it ends.")
    try:
        what = restore_stack(source, output, pages, job, claim.temporary)
        put_in_place(claim.temporary, output, overwrite)
    finally:
        claim.temporary.unlink(missing_ok=True)
        claim.release()
    say(f"{output}: {what}")


def cleaned(image: Tensor, plan: Plan, iteration: int, prior: DAEPrior) -> Tensor:
    """An iterate (1, C, H, W) without the noise of the prior, as an image in [0, 1].

    It contains some of the noise of eq. 8, in proportion to the kernel width. Denoising gains 1 to 5 dB in the first
    half of the annealed schedule. A noise-free measurement is not denoised, and a denoiser for one level not used.
    """
    if plan.noise.level > 0 and prior.trained_width is None:
        with torch.no_grad():
            image = prior.denoise(image, REMAINING_NOISE * plan.schedule.kernel_width[iteration])
    return image.clamp(*plan.range.bounds).expand(-1, plan.image_shape[0], -1, -1)
