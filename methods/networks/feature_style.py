"""The Feature-Style encoder: image -> W+ styles and a feature map that replaces one map of the generator.

Paper: Yao, Newson, Gousseau and Hellier, "A Style-Based GAN Encoder for High Fidelity Reconstruction of Images and
Videos" (ECCV 2022; arXiv 2202.02183), sections 3.1 and 3.2. The backbone is insightface's iResNet-50, pooled to 3x3
after each of its four stages for the styles; the feature comes from the third stage. With the default arguments the
published ``143_enc.pth`` loads strictly through `published_names`.

The feature replaces the input of convolution K of the generator, counted as in `methods.networks.stylegan2`: K = 5, the
second 16x16 map, in the published models. Editing moves the feature by what the edit does to the generator's own map:
F + G_K(w edited) - G_K(w) (section 3.3).

Kept oddities: the feature head strides by two (the published configuration, not the code's default), the codes come
from plain linear layers, and the mean latent is added by the caller. The stage the feature is taken from is an
argument, since at small sizes another stage has the generator's resolution (at 64 px the first one gives 16x16). The
feature head may be left out, as in the paper's ablation (table 4 B).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges.ir_se import input_layer, insightface_names, outputs_of, residual_body, stage_ends

PUBLISHED_FEATURE_LAYER = 5
RAMP = 1e-4
"""Growth of the feature's weight per training iteration, from 0 to 1."""


class FeatureStyleEncoder(nn.Module):
    """Images (B, in_channels, S, S) in [-1, 1] -> W+ offsets (B, L, D) and, with a head for it, a feature (B, C, h, w).

    The offsets are from the mean latent, which the caller adds. The feature has S / (2^stage * stride) pixels per side:
    16 with the published 256 px, third stage and stride 2.

    Args:
        style_count: L.
        style_dim: D.
        widths: channels of the four stages.
        units: residual units of the four stages.
        feature_channels: C, that of the generator's map; None for no feature.
        feature_stage: 1 ... 4, the stage the feature is computed from.
        feature_stride: of the feature head.
        grid: pixels per side each stage is pooled to for the styles.
        in_channels: 3, or 6 for pairs of video frames.

    Raises:
        ReinvertError: there are not four widths and depths, or no such stage.
    """

    def __init__(
        self,
        style_count: int = 18,
        style_dim: int = 512,
        widths: Sequence[int] = (64, 128, 256, 512),
        units: Sequence[int] = (3, 4, 14, 3),
        feature_channels: int | None = 512,
        feature_stage: int = 3,
        feature_stride: int = 2,
        grid: int = 3,
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        if len(widths) != 4 or len(units) != 4 or min(*widths, *units) < 1:
            raise ReinvertError("the Feature-Style encoder has four stages; give four widths and four numbers of units")
        if not 1 <= feature_stage <= 4:
            raise ReinvertError(f"feature_stage is {feature_stage}; use 1 ... 4")
        self.ends = stage_ends(units)
        self.feature_stage = feature_stage
        self.grid = grid
        self.input_layer = input_layer(in_channels, widths[0])
        self.body = residual_body(widths, units, excite=False, insightface=True)
        self.content_layer: nn.Sequential | None = None
        if feature_channels is not None:
            width = widths[feature_stage - 1]
            self.content_layer = nn.Sequential(
                nn.BatchNorm2d(width),
                nn.Conv2d(width, feature_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(feature_channels),
                nn.PReLU(feature_channels),
                nn.Conv2d(feature_channels, feature_channels, 3, stride=feature_stride, padding=1, bias=False),
                nn.BatchNorm2d(feature_channels),
            )
        self.styles = nn.ModuleList(nn.Linear(sum(widths) * grid * grid, style_dim) for _ in range(style_count))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """See the class."""
        stem = self.input_layer(images.contiguous(memory_format=torch.channels_last))
        stages = outputs_of(self.body, stem, self.ends)
        feature = None if self.content_layer is None else self.content_layer(stages[self.feature_stage - 1])
        pooled = torch.cat([F.adaptive_avg_pool2d(stage, self.grid) for stage in stages], dim=1).flatten(1)
        return torch.stack([head(pooled) for head in self.styles], dim=1), feature


def published_names(state: Mapping[str, Tensor], units: Sequence[int] = (3, 4, 14, 3)) -> dict[str, Tensor]:
    """A state dict in the published encoder's names -> in those of `FeatureStyleEncoder`.

    Args:
        state: ``conv.0.weight``, ``block_1.0.bn1.weight``, ..., ``content_layer.*``, ``styles.*``; names of neither
            kind are kept, so that a strict load reports them.
        units: residual units of the four stages.
    """
    backbone: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith("block_"):
            backbone[name.replace("block_", "layer", 1)] = value
        elif name.startswith("conv."):
            others[name.replace("conv.", "input_layer.", 1)] = value
        else:
            others[name] = value
    return others | insightface_names(backbone, units)


def blended(feature: Tensor, weight: float) -> Callable[[Tensor], Tensor]:
    """The replacement ``(1 - weight) x + weight F`` of the generator's own map x, for ``Generator.synthesis``."""
    return lambda drawn: (1 - weight) * drawn + weight * feature


def feature_weight(iteration: int) -> float:
    """The feature's weight in training: it grows to 1 over 10,000 iterations (1 at inference)."""
    return min(1.0, RAMP * iteration)


def edited_feature(feature: Tensor, drawn: Tensor, drawn_edited: Tensor) -> Tensor:
    """F moved by what the edit does to the generator's own map K: (B, C, h, w) each (arXiv 2202.02183, section 3.3)."""
    return feature + drawn_edited - drawn
