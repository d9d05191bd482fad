"""E2Style: a first encoder and refinement encoders that see the image beside its current reconstruction.

Paper: Wei et al., "E2Style: Improve the Efficiency and Effectiveness of StyleGAN Inversion" (arXiv 2104.07661), section
3.1 and 3.2 and figure 2. With the default arguments the published checkpoints (``inversion.pt``) load strictly.

Every stage is an IR-SE body with one linear head per depth instead of a pyramid: the map of the third stage gives the
coarse styles, that of the second the middle ones, that of the first the fine ones. The mean latent is added once, after
the first stage; later stages add to the styles so far.

Kept oddities: the body's last stage is in the checkpoint and never runs, and the maps are pooled to 7x7 over bins that
overlap. Deviation: the number of styles per head is an argument (published: 9, 5 and 4 for 1024 px).

The paper's ablations (Tables I and III, section IV-B) are arguments too: which maps are read and by what heads, and
pSp's pyramid over them. No weights of those are published, so their names are free.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.ir_se import input_layer, outputs_of, residual_body, stage_ends

from .encoders import GradualStyleBlock
from .stylegan2 import Generator

Head = Literal["pooled", "strided", "map2style"]
"""How styles are read off a map: "pooled" and one linear layer, the paper's efficient head; "strided", the same with
convolutions in the place of pooling (E2Style-1Stage-C); "map2style", pSp's head of convolutions for every style."""


def _strided(width: int, spatial: int, grid: int) -> nn.Sequential:
    """Convolutions of stride 2 from (B, width, spatial, spatial) to (B, width, grid, grid)."""
    halvings = math.log2(spatial / grid)
    if halvings < 0 or halvings % 1:
        raise ReinvertError(f"strided heads cannot go from {spatial} px to {grid}; use a power of two times 'grid'")
    layers: list[nn.Module] = []
    for _ in range(int(halvings)):
        layers += [nn.Conv2d(width, width, 3, stride=2, padding=1), nn.PReLU(width)]
    return nn.Sequential(*layers)


class StyleBlocks(nn.Module):
    """One map2style block per style: (B, width, spatial, spatial) -> (B, count * style_dim)."""

    def __init__(self, width: int, style_dim: int, spatial: int, count: int) -> None:
        super().__init__()
        # As wide inside as a style is long, like pSp's.
        self.blocks = nn.ModuleList(GradualStyleBlock(width, style_dim, style_dim, spatial) for _ in range(count))

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([block(features) for block in self.blocks], dim=1)


def _head(head: Head, width: int, spatial: int, grid: int, count: int, style_dim: int) -> nn.Module:
    if head == "map2style":
        return StyleBlocks(width, style_dim, spatial, count)
    smaller = nn.AdaptiveAvgPool2d(grid) if head == "pooled" else _strided(width, spatial, grid)
    linear = nn.Linear(width * grid * grid, count * style_dim)
    return nn.Sequential(nn.BatchNorm2d(width), smaller, nn.Flatten(), linear)


class StageEncoder(nn.Module):
    """Images (B, in_channels, S, S) -> offsets of W+ styles (B, L, D), L the sum of ``styles``.

    Args:
        in_channels: 3 for the first stage, 6 for a refinement: image and reconstruction.
        style_dim: D.
        styles: how many styles each head gives, in the order of W+: the coarse, middle and fine one.
        widths: channels of the four stages.
        units: residual units of the four stages.
        grid: pixels per side the maps are pooled to.
        levels: the stage whose map each head reads, 1 ... 4; that of stage k has S / 2^k pixels per side.
        head: what reads a map.
        pyramid: pSp's: each map but the coarsest is widened to the width of that one and gets the coarser one added.
        size: S; only heads of convolutions need to know.

    Raises:
        ReinvertError: there are not four widths and depths, not as many numbers of styles as levels, or a level whose
            stage has no units.
    """

    def __init__(
        self,
        in_channels: int = 3,
        style_dim: int = 512,
        styles: Sequence[int] = (9, 5, 4),
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
        grid: int = 7,
        levels: Sequence[int] = (3, 2, 1),
        head: Head = "pooled",
        pyramid: bool = False,
        size: int = 256,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or len(units) != 4 or len(styles) != len(levels):
            raise ReinvertError(
                f"an E2Style encoder has four stages and {len(levels)} heads; give 4 widths, 4 units and "
                f"{len(levels)} styles"
            )
        if sorted(set(levels), reverse=True) != list(levels) or not all(1 <= k <= 4 and units[k - 1] for k in levels):
            raise ReinvertError(f"levels are {list(levels)}; give falling numbers of stages that have units")
        self.style_dim = style_dim
        self.ends = [stage_ends(units)[level - 1] for level in levels]
        self.input_layer = input_layer(in_channels, widths[0])
        self.body = residual_body(widths, units)
        read = [widths[level - 1] for level in levels]
        self.lateral: nn.ModuleList | None = None
        if pyramid:
            self.lateral = nn.ModuleList(nn.Conv2d(width, read[0], 1) for width in read[1:])
            read = [read[0]] * len(levels)
        self.heads = [f"output_layer_{number}" for number in range(3, 3 + len(levels))]
        for name, level, width, count in zip(self.heads, levels, read, styles, strict=True):
            self.add_module(name, _head(head, width, size // 2**level, grid, count, style_dim))

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        stem = self.input_layer(images.contiguous(memory_format=torch.channels_last))
        maps = outputs_of(self.body, stem, self.ends)[::-1]
        for index, lateral in enumerate(self.lateral or (), start=1):
            size = maps[index].shape[2:]
            coarser = F.interpolate(maps[index - 1], size=size, mode="bilinear", align_corners=True)
            maps[index] = coarser + lateral(maps[index])
        rows = [self.get_submodule(name)(features) for name, features in zip(self.heads, maps, strict=True)]
        return torch.cat(rows, dim=1).unflatten(1, (-1, self.style_dim))


class E2Style(nn.Module):
    """First stage, refinement stages and generator, in the names of the published checkpoints.

    Args:
        first: encoder of images.
        refinements: encoders of images beside reconstructions, in order.
        generator: draws W+ styles.
    """

    def __init__(self, first: StageEncoder, refinements: Sequence[StageEncoder], generator: Generator) -> None:
        super().__init__()
        self.encoder_firststage = first
        self.encoder_refinestage_list = nn.ModuleList(refinements)
        self.decoder = generator

    def invert(self, images: Tensor, latent_mean: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The styles and the reconstruction after each stage.

        Args:
            images: (B, 3, S, S) in [-1, 1], S a divisor of the generator's size.
            latent_mean: (D,) or (L, D).

        Yields:
            Styles (B, L, D); the image drawn from them with the stored noise, averaged down to (B, 3, S, S).
        """
        styles = self.encoder_firststage(images) + latent_mean
        drawn = self._drawn(styles, images)
        yield styles, drawn
        for stage in self.encoder_refinestage_list:
            styles = styles + stage(torch.cat([images, drawn], dim=1))
            drawn = self._drawn(styles, images)
            yield styles, drawn

    def _drawn(self, styles: Tensor, like: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.decoder.synthesis(styles), (like.shape[2], like.shape[3]))
