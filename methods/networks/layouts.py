"""State dicts of StyleGAN2 in NVIDIA's PyTorch layout <-> the layout of our networks.

Two layouts of the same function are in circulation: that of NVlabs/stylegan2-ada-pytorch
(``synthesis.b8.conv0.weight``; HyperInverter's and PTI's too) and the one our networks have (``convs.0.conv.weight``;
pSp's, e4e's, ReStyle's, E2Style's, HFGI's). Here is the table between them, read in both directions. No kernel is
flipped. What differs besides names:

- axes of size one (``Entry.axes``): modulated weights, the constant input and the noise maps;
- the FIR kernels of upsampling sum to one in NVIDIA's layout and to four in ours (``Entry.gain``);
- NVIDIA's generator keeps the mean of w (``mapping.w_avg``); ours has it beside the state dict;
- NVIDIA's layers hold FIR kernels that no operation uses; they must be there, and are rebuilt on the way back.

NVIDIA demodulates unscaled weights, we scaled ones (arXiv 1912.04958, equation 3): the scale cancels but for the 1e-8
under the root. The clamp at +-256 of their half-precision layers is not kept: it is inactive in float32 on trained
networks. Sizes, widths and the number of mapping layers are read from the state dict, for published ones vary (the
256 px networks of the ADA paper have half the usual widths).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from core.errors import ReinvertError

from .layers import fir_kernel

LATENT_MEAN = "mapping.w_avg"
NVIDIA = "NVIDIA's StyleGAN2 layout"
OURS = "rosinality's StyleGAN2 layout"


@dataclass(frozen=True)
class Entry:
    """One tensor's two names.

    Attributes:
        nvidia: its key in NVIDIA's layout.
        ours: its key in our networks.
        axes: positions of the axes of size one that only our shape has.
        gain: our value divided by NVIDIA's.
    """

    nvidia: str
    ours: str
    axes: tuple[int, ...] = ()
    gain: float = 1.0


def generator_table(size: int, mapping_layers: int) -> list[Entry]:
    """Every tensor the two generators share, for images of ``size`` px."""
    table = [
        Entry(f"mapping.fc{layer}.{kind}", f"style.{layer + 1}.{kind}")
        for layer in range(mapping_layers)
        for kind in ("weight", "bias")
    ]
    table.append(Entry("synthesis.b4.const", "input.input", (0,)))
    table += _styled_conv("synthesis.b4.conv1", "conv1", 0) + _to_rgb("synthesis.b4.torgb", "to_rgb1")
    for k, resolution in enumerate(_resolutions(8, size)):
        block = f"synthesis.b{resolution}"
        table += _styled_conv(f"{block}.conv0", f"convs.{2 * k}", 2 * k + 1)
        table.append(Entry(f"{block}.conv0.resample_filter", f"convs.{2 * k}.conv.blur.kernel", gain=4.0))
        table += _styled_conv(f"{block}.conv1", f"convs.{2 * k + 1}", 2 * k + 2)
        table += _to_rgb(f"{block}.torgb", f"to_rgbs.{k}")
        table.append(Entry(f"{block}.resample_filter", f"to_rgbs.{k}.upsample.kernel", gain=4.0))
    return table


def discriminator_table(size: int) -> list[Entry]:
    """Every tensor the two discriminators share, for images of ``size`` px."""
    table = [Entry(f"b{size}.fromrgb.weight", "convs.0.0.weight"), Entry(f"b{size}.fromrgb.bias", "convs.0.1.bias")]
    for index, resolution in enumerate(reversed(_resolutions(8, size)), start=1):
        block, ours = f"b{resolution}", f"convs.{index}"
        table += [
            Entry(f"{block}.conv0.weight", f"{ours}.conv1.0.weight"),
            Entry(f"{block}.conv0.bias", f"{ours}.conv1.1.bias"),
            Entry(f"{block}.conv1.weight", f"{ours}.conv2.1.weight"),
            Entry(f"{block}.conv1.bias", f"{ours}.conv2.2.bias"),
            Entry(f"{block}.conv1.resample_filter", f"{ours}.conv2.0.kernel"),
            Entry(f"{block}.skip.weight", f"{ours}.skip.1.weight"),
            Entry(f"{block}.skip.resample_filter", f"{ours}.skip.0.kernel"),
        ]
    for kind in ("weight", "bias"):
        table.append(Entry(f"b4.conv.{kind}", f"final_conv.{0 if kind == 'weight' else 1}.{kind}"))
        table += [Entry(f"b4.fc.{kind}", f"final_linear.0.{kind}"), Entry(f"b4.out.{kind}", f"final_linear.1.{kind}")]
    return table


def unused_generator_kernels(size: int) -> list[str]:
    """FIR kernels that NVIDIA's generator stores and never applies."""
    blocks = [f"synthesis.b{resolution}" for resolution in _resolutions(4, size)]
    return ["synthesis.b4.resample_filter", *(f"{block}.conv1.resample_filter" for block in blocks)]


def unused_discriminator_kernels(size: int) -> list[str]:
    """FIR kernels that NVIDIA's discriminator stores and never applies."""
    names = [f"b{size}.fromrgb.resample_filter", "b4.conv.resample_filter"]
    for resolution in _resolutions(8, size):
        names += [f"b{resolution}.resample_filter", f"b{resolution}.conv0.resample_filter"]
    return names


def generator_from_nvidia(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """NVIDIA's generator -> the state dict of our ``Generator`` and the mean of w (D,).

    Raises:
        ReinvertError: a tensor is missing or not known, or this is no unconditional StyleGAN2 generator.
    """
    size = _largest(state, r"synthesis\.b(\d+)\.conv1\.weight", NVIDIA)
    table = generator_table(size, _count(state, r"mapping\.fc(\d+)\.weight"))
    _require_exactly(state, [e.nvidia for e in table] + unused_generator_kernels(size) + [LATENT_MEAN], NVIDIA)
    return _to_ours(state, table), state[LATENT_MEAN]


def generator_to_nvidia(state: Mapping[str, Tensor], latent_mean: Tensor) -> dict[str, Tensor]:
    """Our ``Generator``'s state dict and the mean of w (D,) -> NVIDIA's generator; ReinvertError as above."""
    size = _size_of_noise(state)
    table = generator_table(size, _count(state, r"style\.(\d+)\.weight"))
    _require_exactly(state, [entry.ours for entry in table], OURS)
    renamed = _to_nvidia(state, table, unused_generator_kernels(size))
    return renamed | {LATENT_MEAN: latent_mean}


def discriminator_from_nvidia(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """NVIDIA's discriminator -> the state dict of our ``Discriminator``; ReinvertError as above."""
    size = _largest(state, r"b(\d+)\.fromrgb\.weight", NVIDIA)
    table = discriminator_table(size)
    _require_exactly(state, [entry.nvidia for entry in table] + unused_discriminator_kernels(size), NVIDIA)
    return _to_ours(state, table)


def discriminator_to_nvidia(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our ``Discriminator``'s state dict -> NVIDIA's discriminator; ReinvertError as above."""
    size = 4 * 2 ** _largest(state, r"convs\.(\d+)\.conv1\.0\.weight", OURS)
    table = discriminator_table(size)
    _require_exactly(state, [entry.ours for entry in table], OURS)
    return _to_nvidia(state, table, unused_discriminator_kernels(size))


def generator_arguments(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of the ``Generator`` whose state dict (in our layout) this is."""
    size = _size_of_noise(state)
    channels = {4: state["input.input"].shape[1]}
    for k, resolution in enumerate(_resolutions(8, size)):
        channels[resolution] = state[f"convs.{2 * k}.conv.weight"].shape[1]
    return {
        "size": size,
        "style_dim": state["conv1.conv.modulation.weight"].shape[1],
        "mapping_layers": _count(state, r"style\.(\d+)\.weight"),
        "channels": channels,
    }


def discriminator_arguments(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of the ``Discriminator`` whose state dict (in our layout) this is."""
    size = 4 * 2 ** _largest(state, r"convs\.(\d+)\.conv1\.0\.weight", OURS)
    channels = {size: state["convs.0.0.weight"].shape[0]}
    for index, resolution in enumerate(reversed(_resolutions(8, size)), start=1):
        channels[resolution // 2] = state[f"convs.{index}.conv2.1.weight"].shape[0]
    return {"size": size, "channels": channels}


def _styled_conv(nvidia: str, ours: str, noise: int) -> list[Entry]:
    return [
        Entry(f"{nvidia}.weight", f"{ours}.conv.weight", (0,)),
        Entry(f"{nvidia}.affine.weight", f"{ours}.conv.modulation.weight"),
        Entry(f"{nvidia}.affine.bias", f"{ours}.conv.modulation.bias"),
        Entry(f"{nvidia}.noise_strength", f"{ours}.noise.weight", (0,)),
        Entry(f"{nvidia}.noise_const", f"noises.noise_{noise}", (0, 1)),
        Entry(f"{nvidia}.bias", f"{ours}.activate.bias"),
    ]


def _to_rgb(nvidia: str, ours: str) -> list[Entry]:
    return [
        Entry(f"{nvidia}.weight", f"{ours}.conv.weight", (0,)),
        Entry(f"{nvidia}.affine.weight", f"{ours}.conv.modulation.weight"),
        Entry(f"{nvidia}.affine.bias", f"{ours}.conv.modulation.bias"),
        Entry(f"{nvidia}.bias", f"{ours}.bias", (0, 2, 3)),
    ]


def _resolutions(first: int, last: int) -> list[int]:
    return [2**k for k in range(int(math.log2(first)), int(math.log2(last)) + 1)]


def _to_ours(state: Mapping[str, Tensor], table: Iterable[Entry]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for entry in table:
        value = state[entry.nvidia]
        for axis in entry.axes:
            value = value.unsqueeze(axis)
        renamed[entry.ours] = value if entry.gain == 1.0 else value * entry.gain
    return renamed


def _to_nvidia(state: Mapping[str, Tensor], table: Iterable[Entry], unused_kernels: list[str]) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for entry in table:
        value = state[entry.ours]
        for axis in reversed(entry.axes):
            value = value.squeeze(axis)
        renamed[entry.nvidia] = value if entry.gain == 1.0 else value / entry.gain
    return renamed | {name: fir_kernel() for name in unused_kernels}


def _numbers(state: Mapping[str, Tensor], pattern: str) -> list[int]:
    return [int(found.group(1)) for name in state if (found := re.fullmatch(pattern, name))]


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len(_numbers(state, pattern))


def _largest(state: Mapping[str, Tensor], pattern: str, layout: str) -> int:
    numbers = _numbers(state, pattern)
    if not numbers:
        raise ReinvertError(f"this state dict is not in {layout}: it has keys like '{next(iter(state), '(none)')}'")
    return max(numbers)


def _size_of_noise(state: Mapping[str, Tensor]) -> int:
    return 2 ** (_largest(state, r"noises\.noise_(\d+)", OURS) // 2 + 2)


def _require_exactly(state: Mapping[str, Tensor], names: list[str], layout: str) -> None:
    missing, unknown = sorted(set(names) - set(state)), sorted(set(state) - set(names))
    if missing or unknown:
        what = f"lacks '{missing[0]}'" if missing else f"has an unknown '{unknown[0]}'"
        raise ReinvertError(
            f"a state dict in {layout} {what} ({len(missing)} keys missing, {len(unknown)} unknown); "
            "give an unconditional StyleGAN2 network"
        )
