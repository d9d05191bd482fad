"""E2Style: a first encoder and refinement encoders that see the image beside its current reconstruction.

Paper: Wei et al., "E2Style: Improve the Efficiency and Effectiveness of StyleGAN Inversion" (arXiv 2104.07661), section
3.1 and 3.2 and figure 2. With the default arguments the published checkpoints (``inversion.pt``) load strictly.

Every stage is an IR-SE body with one linear head per depth instead of a pyramid: the map of the third stage gives the
coarse styles, that of the second the middle ones, that of the first the fine ones. The mean latent is added once, after
the first stage; later stages add to the styles so far.

Kept oddities: the body's last stage is in the checkpoint and never runs, and the maps are pooled to 7x7 over bins that
overlap. Deviation: the number of styles per head is an argument (published: 9, 5 and 4 for 1024 px).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.ir_se import input_layer, outputs_of, residual_body, stage_ends

from .stylegan2 import Generator


class StageEncoder(nn.Module):
    """Images (B, in_channels, S, S) -> offsets of W+ styles (B, L, D), L the sum of ``styles``.

    Args:
        in_channels: 3 for the first stage, 6 for a refinement: image and reconstruction.
        style_dim: D.
        styles: how many styles the coarse, middle and fine head give, in the order of W+.
        widths: channels of the four stages.
        units: residual units of the four stages.
        grid: pixels per side the maps are pooled to.

    Raises:
        ReinvertError: there are not four widths and depths, or not three numbers of styles.
    """

    def __init__(
        self,
        in_channels: int = 3,
        style_dim: int = 512,
        styles: Sequence[int] = (9, 5, 4),
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
        grid: int = 7,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or len(units) != 4 or len(styles) != 3:
            raise ReinvertError("an E2Style encoder has four stages and three heads; give 4 widths, 4 units, 3 styles")
        self.style_dim = style_dim
        self.ends = stage_ends(units)[:3]
        self.input_layer = input_layer(in_channels, widths[0])
        self.body = residual_body(widths, units)
        coarse, middle, fine = (
            nn.Sequential(
                nn.BatchNorm2d(width),
                nn.AdaptiveAvgPool2d(grid),
                nn.Flatten(),
                nn.Linear(width * grid * grid, count * style_dim),
            )
            for width, count in zip(widths[2::-1], styles, strict=True)
        )
        self.output_layer_3, self.output_layer_4, self.output_layer_5 = coarse, middle, fine

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        stem = self.input_layer(images.contiguous(memory_format=torch.channels_last))
        fine, middle, coarse = outputs_of(self.body, stem, self.ends)
        rows = [self.output_layer_3(coarse), self.output_layer_4(middle), self.output_layer_5(fine)]
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
