"""Which arithmetic a training computes in: `auto` takes the fast one that the device has in hardware.

bfloat16 halves a training's time where the processor multiplies it natively and costs several times float32 where it is
emulated. Which one was taken is written into the card of the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from core.errors import ReinvertError

if TYPE_CHECKING:
    import torch  # heavy, and typed settings name `Precision`

Precision = Literal["auto", "bf16-mixed", "32-true"]
"""What params.yaml may ask for."""
Resolved = Literal["bf16-mixed", "32-true"]
"""What a training computes in, by the names of Lightning Fabric."""

CPU_CAPABILITIES = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""Names of `torch.cpu.get_capabilities` that stand for products of bfloat16 in hardware: x86, then ARM."""


def computes_bfloat16(device: str | torch.device) -> bool:
    """Whether `device` multiplies bfloat16 in hardware: a CPU by its instructions, a GPU by its generation."""
    import torch

    device = torch.device(device)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(bool(capabilities.get(name, False)) for name in CPU_CAPABILITIES)
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def resolve(precision: str, device: str | torch.device) -> Resolved:
    """The arithmetic that `precision` means on `device`.

    Args:
        precision: `auto` for bf16-mixed where `computes_bfloat16`, else 32-true; the others mean themselves.
        device: where the training computes.

    Raises:
        ReinvertError: an unknown precision.
    """
    if precision == "auto":
        return "bf16-mixed" if computes_bfloat16(device) else "32-true"
    for known in get_args(Resolved):
        if precision == known:
            resolved: Resolved = known
            return resolved
    raise ReinvertError(f"unknown precision '{precision}'; use {', '.join(get_args(Precision))}")
