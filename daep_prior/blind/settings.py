"""Numbers of the blind estimation, chosen by hand on blurred crops of training images.

``least`` and ``last_least`` were chosen after the kernels of Levin et al. (2009) had been looked at.
"""

import math
from dataclasses import dataclass, replace

#: Noise of the grey photograph below which the finest scale uses ``BlindSettings.last_weight``, images in [0, 1]. Mean
#: similarity to the true kernels of 14 training crops, two seeds, weight 0.04 and 0.01: seven with less noise 0.964 and
#: 0.973, 0.960 and 0.963; seven with more 0.917 and 0.911, 0.886 and 0.880.
LITTLE_NOISE = 0.008
#: Spread from which a kernel is wide, pixels. Chosen on 20 training crops, see ``docs/unknown-blur-method.md``.
WIDE = 5.0
#: Median of the absolute value of a standard normal number.
NORMAL_MEDIAN = 0.6745


@dataclass(frozen=True)
class BlindSettings:
    """How one estimate is made.

    :param int size: side of the largest kernel that is sought, pixels, odd.
    :param int rounds: rounds at the finest scale; a round is one network evaluation, one kernel and one image step.
    :param int coarse_rounds: rounds at each other scale.
    :param bool faint_start: if a sharpener finds the kernel, one more start keeps faint arms, or three, see
        :meth:`for_faint_arms`.
    :param int refining_rounds: more rounds at the finest scale for the kernel that is chosen, see
        :func:`daep_prior.blind.refinement.refined`.
    :param float refined_from: kernel width of the first of these rounds, images in [0, 1]; it falls geometrically to
        ``narrowest``.
    :param int refined_margin: ``margin`` in these rounds.
    :param float refined_island: ``island`` in these rounds.
    :param int arm_steps: largest number of steps of the search for faint arms of a kernel of a sharpener, see
        :func:`daep_prior.blind.faint_arms.with_faint_arms`; each has six network evaluations and a rating.
    :param int corrections: of the kernel's bias, if the noise is below :data:`LITTLE_NOISE`; each has eight network
        evaluations, see :func:`daep_prior.blind.correction.corrected`.
    :param float widest: kernel width ``s`` of the mean shift in the first round of a scale, images in [0, 1].
    :param float narrowest: that of the last round; in between it falls geometrically.
    :param float denoised_from: estimated noise of the grey photograph from which the kernel is sought in a photograph
        with less noise, images in [0, 1], see :func:`daep_prior.blind.noise.less_noise`, and from which a kernel that
        overshoots must cost less than no blur. Fine texture counts, too.
    :param float much_noise: the same from which strong edges determine every kernel at the finest scale (not in the
        refinement without a sharpener), the image is not moved between the pixels, and every kernel must cost less than
        no blur.
    :param float denoised_share: kernel width of the mean shift that removes noise, over the noise level, in (0, 1].
    :param float weight: of the mean-shift image in the image step, against a data term of weight 1.
    :param float last_weight: the same at the finest scale, in photographs with little noise.
    :param float ridge: weight of ``1/2 ||k||^2`` in the kernel step, against the sum of squared gradients.
    :param float least: kernel values below this share of the largest are set to 0.
    :param float typical: ``least`` is a share of ``min(max(k), typical * exp(-entropy(k)))``, see
        :func:`daep_prior.blind.kernel_shape.cleaned`.
    :param float last_least: ``least`` in the last three rounds and in the refining ones, which restore faint tails.
    :param float last_typical: ``typical`` in these rounds.
    :param float island: connected parts of the kernel with less than this share of its sum are removed.
    :param float factor: between two scales.
    :param int coarsest: side of the largest kernel at the coarsest scale, pixels of that scale.
    :param int margin: pixels by which the support may grow in a round, on each side.
    :param int kernel_iterations: of accelerated projected gradients in a kernel step.
    :param float edges: share of the pixels whose edges count as strong in the kernel steps of wide kernels, see
        :func:`daep_prior.blind.kernel_step.kernel_step`; 1: all gradients count alike.
    :param float edges_from: spread of a kernel from which it is wide, pixels.
    :param float finest_edges_from: ``edges_from`` at the finest scale.
    :param float refined_edges: ``edges`` in the refining rounds.
    :param int moves: largest number of moves of the image by parts of a pixel in each of the last rounds, see
        :func:`daep_prior.blind.position.at_best_position`; 0: none, as without a sharpener, and with much noise.
    :param int fills: passes of an image step.
    """

    size: int = 31
    rounds: int = 16
    coarse_rounds: int = 16
    faint_start: bool = True
    refining_rounds: int = 16
    refined_from: float = 15 / 255
    refined_margin: int = 2
    refined_island: float = 0.02
    arm_steps: int = 6
    corrections: int = 3
    widest: float = 60 / 255
    narrowest: float = 15 / 255
    denoised_from: float = 3 / 255
    much_noise: float = 6.5 / 255
    denoised_share: float = 0.5
    weight: float = 0.04
    last_weight: float = 0.01
    ridge: float = 10.0
    least: float = 0.02
    typical: float = math.inf
    last_least: float = 0.01
    last_typical: float = math.inf
    island: float = 0.02
    factor: float = 2**0.5
    coarsest: int = 3
    margin: int = 2
    kernel_iterations: int = 60
    edges: float = 0.05
    edges_from: float = WIDE
    finest_edges_from: float = WIDE
    refined_edges: float = 1.0
    moves: int = 0
    fills: int = 2

    def widths(self, finest: bool) -> list[float]:
        """Kernel width of the mean shift in each round of a scale."""
        rounds = self.rounds if finest else self.coarse_rounds
        last = max(1, rounds - 1)
        return [self.widest * (self.narrowest / self.widest) ** (t / last) for t in range(rounds)]

    def smallest(self, faint: bool) -> tuple[float, float]:
        """``least`` and ``typical`` of :func:`daep_prior.blind.kernel_shape.cleaned`; in the rounds that keep faint
        values, or not."""
        return (self.last_least, self.last_typical) if faint else (self.least, self.typical)

    def for_noise(self, noise: float) -> "BlindSettings":
        """The settings of a photograph with a noise level ``noise``: ``last_weight`` is for :data:`LITTLE_NOISE`.

        From ``much_noise`` on, strong edges determine every kernel at the finest scale. Otherwise the noise that the
        sharp image has kept makes one value of the kernel too large.
        """
        settings = self if noise < LITTLE_NOISE else replace(self, last_weight=self.weight)
        return settings if noise < self.much_noise else replace(settings, finest_edges_from=0.0)

    def with_sharpener(self, noise: float) -> "BlindSettings":
        """The settings if a sharpener finds the kernel, see :func:`daep_prior.blind.several_starts.find_blur`.

        :param float noise: of the grey photograph, images in [0, 1]. From ``much_noise`` on, there are no moves.
        """
        moves = 4 if noise < self.much_noise else 0
        return replace(self, refined_from=30 / 255, refined_edges=self.edges, last_typical=2.0, moves=moves)

    def for_faint_arms(self) -> "BlindSettings":
        """The settings of a start that keeps faint values in all rounds, and lets strong edges determine every kernel.

        In photographs with much texture, such a start fails more often than others.
        """
        return replace(self, least=self.last_least, typical=self.last_typical, edges_from=0.0, finest_edges_from=0.0)

    def with_long_refinement(self) -> "BlindSettings":
        """The settings of more rounds that begin at a wider kernel width and find arms that are missing."""
        rounds = round(1.5 * self.refining_rounds)
        return replace(self, refining_rounds=rounds, refined_from=60 / 255, refined_margin=20, refined_island=0.005)
