"""Warnings about the photographs whose blur is sought, and about the kernels that are found."""

from torch import Tensor

from daep_deepinv.blind.arguments import LARGEST_DEFAULT, values_of
from daep_deepinv.caller_warnings import warn_caller
from daep_deepinv.value_range import bounds_warning
from daep_prior.blind import FoundBlur
from daep_prior.blind.confidence import UNCERTAIN
from daep_prior.blind.kernel_shape import extent, window_of

#: Share of the light of a kernel that fills ``size``, whose extent the warning names.
MOST_LIGHT = 0.9
#: What to do about a blur that is not found, and about an uncertain one.
ADVICE = {
    "no texture": "it has no texture that shows a blur; give a photograph or a region with edges",
    "not found": "the starts disagree, or their kernel looks like noise or explains the photograph no better than no "
    "blur does; give a region with edges in all directions and without saturated lights, a size= close to the extent "
    "of the blur, or more starts=. A blur that varies over the image has no one kernel",
}
TRY = "try a region with more edges, another size= or more starts="


def warn_of(found: FoundBlur, number: int, starts: int, size: int, others: int = 0) -> None:
    """Warn if the blur of a photograph is not found, uncertain, or another one in ``others`` of its quarters."""
    doubt = _doubt(found, number, starts, size, others)
    if doubt is not None:
        warn_caller(f"y: {doubt}.")


def is_trusted(found: FoundBlur, starts: int) -> bool:
    """Whether a photograph has a kernel, or is sharp, and nothing speaks against it."""
    return found.verdict in ("found", "sharp") and not _unsure(found, starts) and found.doubt <= 1


def _unsure(found: FoundBlur, starts: int) -> bool:
    """Whether the confidence is low; with one start there is none."""
    return starts > 1 and found.confidence < UNCERTAIN


def _doubt(found: FoundBlur, number: int, starts: int, size: int, others: int) -> str | None:
    """What speaks against the blur of a photograph, and what to do; the gravest alone."""
    blur, compare = f"the blur of photograph {number}", "compare the result with the photograph"
    if found.verdict in ADVICE:
        return f"{blur} is not found: {ADVICE[found.verdict]}"
    if found.verdict == "sharp" and _unsure(found, starts):
        return f"photograph {number} counts as sharp, but may be blurred, confidence {found.confidence:.2f}; {TRY}"
    if found.verdict != "found":
        return None
    confidence = f"confidence {found.confidence:.2f}; " if starts > 1 else ""
    advice = f"{confidence}{compare}, and {TRY}"
    if found.doubt > 1:
        return f"{blur} may be wrong: the restoration overshoots the photograph, {advice}"
    if _unsure(found, starts):
        return f"{blur} is uncertain, {advice}"
    if others:
        vary = f"may vary over it: {others} of its quarters have another one"
        return f"{blur} {vary}; {compare}, and try BlindDAEP(varying=True)"
    if size > LARGEST_DEFAULT:
        often = f"kernels of more than {LARGEST_DEFAULT} pixels are often wrong"
        return f"{blur} was sought with size={size}; {often}; {compare}"
    if extent(found.kernel) >= size:
        inner = window_of(found.kernel, MOST_LIGHT)
        light = f"{MOST_LIGHT:.0%} of its light is in {inner} x {inner} pixels"
        advice = "if the blur is larger, give a larger size="
        if inner < size:
            advice = "if they hold the blur, give a smaller size=, if it is larger, a larger one"
        return f"the kernel of photograph {number} fills size={size}; {light}; {advice}; {compare}"
    return None


def warn_of_clipping(y: Tensor) -> None:
    """Warn if photographs (B, C, h, w) have values clearly outside [0, 1]: results are clipped."""
    if any(bounds_warning(one, (0.0, 1.0)) is not None for one in y):
        warn_caller(f"y: got {values_of(y)}; results are clipped to [0, 1], so scale y to it.")
