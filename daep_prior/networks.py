"""The denoising autoencoders (DAEs): the paper's 20 x 64 network and a noise-conditional U-Net.

Every network here is *residual*: ``A(x) = x + r(x)``. The class :class:`DAE` holds what all of them share (checking,
grey images, padding, the number type and memory layout of the convolutions); an architecture only builds ``body``, the
module that maps the network's input to ``r``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_prior.graphs import Graphs
from daep_prior.images import RGB, per_image, replicated_level
from daep_prior.lean import Chain, Residual, lean, steps, translate

__all__ = ["ARCHITECTURES", "DAE", "ConvDAE", "UNetDAE", "build_network", "fast_dtype"]


def fast_dtype(device: torch.device) -> torch.dtype:
    """The number type in which this device computes convolutions fastest at no visible cost.

    Decided from what the processor declares, never by a stopwatch, so that the same machine always gives the same
    image: bf16 on GPUs that have it and on CPUs with native bf16 arithmetic (AMX, or AVX512-BF16 of other makers than
    Intel, whose processors take 1.5 times as long with that as in float32, or more), else float32.

    :param torch.device device: device the network computes on.
    :return: ``torch.bfloat16`` or ``torch.float32``.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    if device.type == "cpu":
        capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
        vectors = capabilities.get("avx512_bf16") and "intel" not in str(capabilities.get("cpu_name", "")).lower()
        return torch.bfloat16 if vectors or capabilities.get("amx_bf16") else torch.float32
    return torch.float32


class FastCopy(NamedTuple):
    """A network's body as it is computed when no parameter asks for a gradient."""

    #: of the parameters it was made from
    version: list[tuple[int, int]]
    body: nn.Module
    #: the same for :mod:`daep_prior.lean`, if there is such a form
    chain: Chain | None
    #: its recordings on a GPU
    graphs: Graphs


class DAE(nn.Module):
    """A residual denoising autoencoder ``A(x) = x + r(x)``; called like a deepinv denoiser.

    Parameters stay in float32 (or whatever ``.to`` makes of them). When none of them requires a gradient, the
    convolutions run on a cached copy in ``compute_dtype`` and channels-last layout, on a CPU one image after another,
    on a GPU from a recording (:mod:`daep_prior.graphs`); images, noise and the sum ``x + r`` keep the type of ``x``.
    Float64 images are always computed in float64.

    :param float, None sigma: noise standard deviation the network is trained for, images in [0, 1]; ``None`` for a
        noise-conditional network, which reads the level from a fourth input channel.
    :param tuple sigma_range: levels a noise-conditional network was trained on.
    """

    architecture: ClassVar[str]
    #: Height and width are padded to a multiple of this inside, and cropped back.
    multiple: int = 1

    body: nn.Module

    def __init__(self, sigma: float | None, sigma_range: tuple[float, float] | None = None):
        super().__init__()
        if (sigma is None) == (sigma_range is None):
            raise ValueError("give sigma (one level) or sigma_range (noise-conditional), exactly one of the two.")
        if sigma is not None and not 0 < sigma < float("inf"):
            raise ValueError(f"sigma: got {sigma}; expected a positive number, for images in [0, 1].")
        if sigma_range is not None and not (len(sigma_range) == 2 and 0 <= sigma_range[0] < sigma_range[1] < math.inf):
            raise ValueError(f"sigma_range: got {sigma_range}; expected two levels, 0 <= low < high, images in [0, 1].")
        self.sigma = sigma
        self.sigma_range = sigma_range
        #: ``None``: :func:`fast_dtype`; or a torch.dtype that says it.
        self.compute_dtype: torch.dtype | None = None
        # in a plain dict, to stay out of parameters() and state_dict()
        self._fast_copy: dict[tuple[torch.dtype, torch.device], FastCopy] = {}

    @property
    def conditional(self) -> bool:
        """Whether the network is told the noise level."""
        return self.sigma is None

    @property
    def in_channels(self) -> int:
        """Channels of the images the network was trained on."""
        return RGB

    @property
    def radius(self) -> int:
        """How far away, in pixels, an input can still change an output."""
        raise NotImplementedError

    def config(self) -> dict[str, Any]:
        """What :func:`build_network` needs to make this network again; JSON-serialisable."""
        raise NotImplementedError

    # -- evaluation ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """Denoise.

        :param torch.Tensor x: noisy images (B, C, H, W) in [0, 1] up to noise, C = 3 or 1.
        :param float, torch.Tensor sigma: noise standard deviation, a number or one an image; needed by a
            noise-conditional network. A network for one level always acts at that level.
        :return: denoised images, shape and type of ``x``.
        :raises ValueError: wrong shape or type, or a noise level that is missing, negative or not finite.
        """
        if x.ndim != 4 or x.shape[1] not in (1, RGB):
            raise ValueError(f"x: got shape {tuple(x.shape)}; expected images (B, C, H, W) with C = 1 or 3.")
        if not x.is_floating_point():
            raise ValueError(f"x: got type {x.dtype}; expected floating-point images in [0, 1].")
        if x.shape[1] == 1:
            if self.conditional and sigma is not None:
                sigma = replicated_level(sigma, RGB)
            return self.forward(x.expand(-1, RGB, -1, -1), sigma).mean(1, keepdim=True)
        return x + self.residual(x, sigma)

    def residual(self, x: Tensor, sigma: float | Tensor | None = None) -> Tensor:
        """``r(x) = A(x) - x`` for RGB images (B, 3, H, W): the mean-shift vector of eq. 6."""
        height, width = x.shape[-2:]
        z = x
        level = None if sigma is None else per_image(sigma, x)
        if self.conditional:
            if level is None:
                raise ValueError("sigma: this network is noise-conditional; say the noise level.")
            z = torch.cat([x, level.expand(-1, 1, height, width)], 1)
        bottom, right = -height % self.multiple, -width % self.multiple
        if bottom or right:
            mode = "reflect" if bottom < height and right < width else "replicate"
            z = F.pad(z, (0, right, 0, bottom), mode=mode)
        learning = any(p.requires_grad for p in self.body.parameters())
        if learning or (self.training and any(isinstance(m, nn.BatchNorm2d) for m in self.body.modules())):
            r = self.body(z)
        else:
            r = self._fast_body(z)
        return r[..., :height, :width].to(x.dtype)

    def _fast_body(self, z: Tensor) -> Tensor:
        dtype = z.dtype if z.dtype == torch.float64 else (self.compute_dtype or fast_dtype(z.device))
        key = (dtype, z.device)
        version = self.weights_version()
        fast = self._fast_copy.get(key)
        if fast is None or fast.version != version:
            # a copy made in inference mode could never again be differentiated through
            with torch.inference_mode(False), torch.no_grad():
                body = copy.deepcopy(self.body).to(z.device, dtype).to(memory_format=torch.channels_last).eval()
            fast = self._fast_copy[key] = FastCopy(version, body, translate(body), Graphs(body))
        # on a CPU the way a convolution is computed, and so its rounding, depends on how many images there are
        parts = z.split(1) if z.device.type == "cpu" else (z,)
        answers = [self._of_fast(fast, part.to(dtype).contiguous(memory_format=torch.channels_last)) for part in parts]
        return answers[0] if len(answers) == 1 else torch.cat(answers)

    @staticmethod
    def _of_fast(fast: FastCopy, z: Tensor) -> Tensor:
        r = fast.graphs(z)
        if r is None:
            r = fast.body(z) if fast.chain is None else lean(z, fast.chain, fast.body)
        return r

    def weights_version(self) -> list[tuple[int, int]]:
        """Another list after every change of the weights, by whomever: a parent module, an optimizer or the user."""
        return [
            (t.data_ptr(), 0 if t.is_inference() else t._version)
            for t in (*self.body.parameters(), *self.body.buffers())
        ]

    def _apply(self, fn: Any, recurse: bool = True) -> DAE:
        # changes are noticed anyway; this lets go of the copy on the old device
        self._fast_copy.clear()
        return super()._apply(fn, recurse)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fast_copy": {}}

    def fold(self) -> DAE:
        """The form for inference: equal outputs, no normalisation layers, evaluation mode, frozen parameters."""
        return copy.deepcopy(self).eval().requires_grad_(False)

    def extra_repr(self) -> str:
        if self.sigma_range is not None:
            return "sigma in [{:g}, {:g}]/255".format(*(255 * s for s in self.sigma_range))
        return f"sigma={255 * (self.sigma or 0):g}/255"


class ConvDAE(DAE):
    """The paper's DAE (section 4): a chain of 3 x 3 convolutions and ReLUs, batch normalisation in all but the first
    and the last, residual output; the architecture of DnCNN.

    :param float sigma: noise standard deviation it is trained for.
    :param int depth: number of convolutions, the paper's 20.
    :param int width: channels, the paper's 64.
    :param bool batch_norm: with normalisation, as the paper trains it, or the same chain without. Without, the inner
        convolutions start near the identity, which lets the chain learn like a residual network; trained by Muon it
        learns much faster than with normalisation. The folded form is the same for both.
    :param tuple sigma_range: for a noise-conditional variant.
    """

    architecture = "conv"

    def __init__(
        self,
        sigma: float | None = 25 / 255,
        depth: int = 20,
        width: int = 64,
        batch_norm: bool = True,
        sigma_range: tuple[float, float] | None = None,
    ):
        super().__init__(sigma, sigma_range)
        if depth < 2 or width < 1:
            raise ValueError(f"depth, width: got {depth}, {width}; expected at least 2 and 1.")
        self.depth, self.width, self.batch_norm = depth, width, batch_norm
        layers: list[nn.Module] = [nn.Conv2d(RGB + self.conditional, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not batch_norm))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
        layers.append(nn.Conv2d(width, RGB, 3, padding=1))
        self.body = nn.Sequential(*layers)
        for layer in self.body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        if not batch_norm:
            _start_as_residual_blocks(self.body[1:-1])
        _start_near_identity(self.body[-1])

    @property
    def radius(self) -> int:
        """One pixel a convolution."""
        return self.depth

    def config(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "sigma": self.sigma,
            "depth": self.depth,
            "width": self.width,
            "batch_norm": self.batch_norm,
            "sigma_range": self.sigma_range,
        }

    def fold(self) -> ConvDAE:
        """The same network with each normalisation folded into the convolution before it (equal to 1e-5)."""
        with torch.device("meta"):  # every tensor is set below; drawing random ones would disturb the user's seed
            folded = ConvDAE(**{**_arguments(self.config()), "batch_norm": False})
        source = list(self.body.children())
        targets = [layer for layer in folded.body.children() if isinstance(layer, nn.Conv2d)]
        for i, layer in enumerate(source):
            if not isinstance(layer, nn.Conv2d):
                continue
            weight = layer.weight.detach().double()
            bias = torch.zeros(weight.shape[0]) if layer.bias is None else layer.bias.detach()
            bias = bias.double().to(weight.device)
            norm = source[i + 1] if i + 1 < len(source) else None
            if isinstance(norm, nn.BatchNorm2d):
                scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()  # type: ignore[union-attr]
                weight = weight * scale.reshape(-1, 1, 1, 1)
                bias = (bias - norm.running_mean.double()) * scale + norm.bias.double()  # type: ignore[union-attr]
            target = targets.pop(0)
            target.weight = nn.Parameter(weight.to(layer.weight.dtype))
            target.bias = nn.Parameter(bias.to(layer.weight.dtype))
        folded.compute_dtype = self.compute_dtype
        return folded.eval().requires_grad_(False)


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``, 3 x 3, without bias or normalisation."""

    def __init__(self, width: int):
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.branch(x)
        return out

    def lean_step(self) -> Residual:
        """See :mod:`daep_prior.lean`."""
        return Residual(steps(self.branch))


class UNetBody(nn.Module):
    """Bias-free U-Net: residual blocks, strided 2 x 2 convolutions down, transposed ones up, additive skips."""

    def __init__(self, in_channels: int, widths: Sequence[int], blocks: int):
        super().__init__()

        def level(width: int) -> list[nn.Module]:
            return [ResidualBlock(width) for _ in range(blocks)]

        steps = list(zip(widths, widths[1:], strict=False))
        self.head = nn.Conv2d(in_channels, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            nn.Sequential(*level(fine), nn.Conv2d(fine, coarse, 2, 2, bias=False)) for fine, coarse in steps
        )
        self.bottom = nn.Sequential(*level(widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(coarse, fine, 2, 2, bias=False), *level(fine)) for fine, coarse in steps
        )
        self.tail = nn.Conv2d(widths[0], RGB, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        x = self.bottom(x)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            x = up(x) + skip
        out: Tensor = self.tail(x)
        return out

    def lean_step(self) -> Chain:
        """See :mod:`daep_prior.lean`; from the bottom up, each scale is a residual around the coarser ones."""
        inner = Chain(steps(self.bottom))
        for down, up in zip(reversed(self.down), reversed(self.up), strict=True):
            inner = Residual([*steps([down]), inner, *steps([up])])
        return Chain([*steps([self.head]), inner, *steps([self.tail])])


class UNetDAE(DAE):
    """A noise-conditional DAE: a bias-free U-Net that reads the noise level from a fourth input channel.

    Without bias the network is homogeneous in (image, noise level), which lets it serve a wide range of levels.

    :param tuple sigma_range: noise levels it is trained on, images in [0, 1].
    :param list widths: channels of each scale, fine to coarse; each further scale halves the resolution.
    :param int blocks: residual blocks a scale.
    :param float sigma: for a variant trained for one level.
    """

    architecture = "unet"

    def __init__(
        self,
        sigma_range: tuple[float, float] | None = (0.0, 75 / 255),
        widths: Sequence[int] = (24, 48, 96, 192),
        blocks: int = 2,
        sigma: float | None = None,
    ):
        super().__init__(sigma, sigma_range)
        if not widths or min(widths) < 1 or blocks < 1:
            raise ValueError(f"widths, blocks: got {widths}, {blocks}; expected positive numbers.")
        self.widths, self.blocks = tuple(widths), blocks
        self.multiple = 2 ** (len(widths) - 1)
        self.body = UNetBody(RGB + self.conditional, self.widths, blocks)
        _start_near_identity(self.body.tail)

    @property
    def radius(self) -> int:
        """Two convolutions a block, at each scale in that scale's pixels, going down and coming up."""
        a_scale = 2 * self.blocks
        around_skips = sum(2 * a_scale * 2**k for k in range(len(self.widths) - 1))
        head_and_tail = 2
        return head_and_tail + around_skips + a_scale * self.multiple + self.multiple - 1

    def config(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "sigma_range": self.sigma_range,
            "widths": list(self.widths),
            "blocks": self.blocks,
            "sigma": self.sigma,
        }


ARCHITECTURES: dict[str, type[DAE]] = {cls.architecture: cls for cls in (ConvDAE, UNetDAE)}


def _start_near_identity(last: nn.Module) -> None:
    """Shrink the last convolution, so that training starts from ``A(x)`` close to ``x``."""
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.mul_(0.1)


def _start_as_residual_blocks(layers: nn.Module) -> None:
    """Start each inner convolution as the identity plus a tenth of a random kernel.

    Features are not negative after a ReLU, so ``relu(x + k * x)`` passes them on: a residual block, whose sum is part
    of the kernel.
    """
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            identity = torch.empty_like(layer.weight)
            nn.init.dirac_(identity)
            with torch.no_grad():
                layer.weight.mul_(0.1).add_(identity)


def _arguments(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "architecture"}


def build_network(config: dict[str, Any]) -> DAE:
    """The network, in its training form and with fresh weights, that :meth:`DAE.config` describes.

    :param dict config: ``architecture`` and the arguments of its class.
    :raises ValueError: unknown architecture, or arguments it does not take.
    """
    name = config.get("architecture")
    if name not in ARCHITECTURES:
        raise ValueError(f"architecture: got {name!r}; expected one of {sorted(ARCHITECTURES)}.")
    arguments = _arguments(config)
    if arguments.get("sigma_range") is not None:
        arguments["sigma_range"] = tuple(arguments["sigma_range"])
    try:
        return ARCHITECTURES[name](**arguments)
    except TypeError as error:
        raise ValueError(f"network configuration {config}: {error}") from error
