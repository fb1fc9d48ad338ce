"""The number type of the network's convolutions: bf16 where the processor computes it natively, else float32."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["fast_dtype"]


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
