"""HyperInverter's hypernetwork: two codes per image -> a residual for every convolution weight of the generator.

Paper: Dinh, Tran, Nguyen and Hua, "HyperInverter: Improving StyleGAN Inversion via Hypernetwork" (arXiv 2112.00719),
section 3.3 and figure 3. Parameter names equal those of the published checkpoints (``weight_regressors.b8_conv0_weight
.fusion.0.weight``, ...), which count layers as NVIDIA's generator does; the residuals are keyed by the names of *our*
generator (``Generator.modulated_weights``), so they go into ``Generator.synthesis(weight_residuals=...)`` as they are.

Oddities of the published networks that are kept, since released weights need them:
- The regressor's last product is (B, in, out k k); its memory is read as (B, out, in, k, k), without a transpose.
- The row of the code a layer reads is not the row of W+ that styles it: 0 and 1 serve the convolution and the RGB layer
  of 4 px, 2 + 2k and 3 + 2k the two convolutions of 8 2^k px, whose RGB layer reads 3 + 2k as well.

Widths, the size of the codes and the generator's size and widths are arguments; so are the paper's ablations (table 3):
regressors that read the code of the image alone, or one code for all layers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from core.errors import ReinvertError

from .stylegan2 import channels_by_resolution

FUSED_CHANNELS = 512
EXTRACTOR_CHANNELS = 64


@dataclass(frozen=True)
class PredictedWeight:
    """One convolution weight a residual is predicted for."""

    regressor: str
    """Name in the published layout, such as ``b8_conv0_weight``."""
    weight: str
    """Name in our generator, such as ``convs.0.conv.weight``."""
    code: int
    """Row of the codes it is predicted from."""
    out_channels: int
    in_channels: int
    kernel: int


def predicted_weights(size: int, channels: Mapping[int, int] | None = None) -> list[PredictedWeight]:
    """Every modulated convolution of a StyleGAN2 generator, in order of execution.

    Args:
        size: pixels per side of the generator, a power of two from 8.
        channels: width by resolution; None for the published table.

    Raises:
        ReinvertError: no such generator.
    """
    widths = channels_by_resolution(size, channels)
    predicted = [
        PredictedWeight("b4_conv1_weight", "conv1.conv.weight", 0, widths[4], widths[4], 3),
        PredictedWeight("b4_torgb_weight", "to_rgb1.conv.weight", 1, 3, widths[4], 1),
    ]
    for index, resolution in enumerate(list(widths)[1:]):
        first, width, block = 2 * index, widths[resolution], f"b{resolution}"
        before = widths[resolution // 2]
        predicted += [
            PredictedWeight(f"{block}_conv0_weight", f"convs.{first}.conv.weight", first + 2, width, before, 3),
            PredictedWeight(f"{block}_conv1_weight", f"convs.{first + 1}.conv.weight", first + 3, width, width, 3),
            PredictedWeight(f"{block}_torgb_weight", f"to_rgbs.{index}.conv.weight", first + 3, 3, width, 1),
        ]
    return predicted


class WeightRegressor(nn.Module):
    """The residual of one convolution weight, from the codes of the image and of its first reconstruction.

    The codes are fused by a 1x1 convolution, strided convolutions turn them into one vector of ``hidden`` values, and
    two linear maps turn that into ``hidden`` values per input channel and these into the channel's kernels.

    Args:
        code_channels: channels of one code.
        code_size: pixels per side of a code, a power of two from 2.
        out_channels: of the convolution.
        in_channels: of the convolution.
        kernel: pixels per side of its kernel.
        hidden: D; 128 in the "light" and 256 in the "large" published networks.
        fused_channels: after the fusion.
        extractor_channels: inside the strided convolutions.
        codes: 2, or 1 to read the image's alone.
    """

    def __init__(
        self,
        code_channels: int,
        code_size: int,
        out_channels: int,
        in_channels: int,
        kernel: int,
        hidden: int = 128,
        fused_channels: int = FUSED_CHANNELS,
        extractor_channels: int = EXTRACTOR_CHANNELS,
        codes: int = 2,
    ) -> None:
        super().__init__()
        if code_size < 2 or code_size & (code_size - 1):
            raise ReinvertError(f"a hypernetwork cannot read codes of {code_size} px; use a power of two from 2")
        self.fusion = nn.Sequential(
            nn.Conv2d(codes * code_channels, fused_channels, 1), nn.InstanceNorm2d(fused_channels), nn.ReLU()
        )
        layers: list[nn.Module] = [nn.Conv2d(fused_channels, extractor_channels, 3, padding=1), nn.ReLU()]
        halvings = int(math.log2(code_size))
        for index in range(halvings):
            width = hidden if index == halvings - 1 else extractor_channels
            layers += [nn.Conv2d(extractor_channels, width, 4, stride=2, padding=1), nn.ReLU()]
        self.feature_extractor = nn.Sequential(*layers)
        self.shape = (out_channels, in_channels, kernel, kernel)
        self.hidden = hidden
        values = out_channels * kernel * kernel
        # Small at first: training starts from the unchanged generator.
        self.w1 = nn.Parameter(torch.randn(hidden, in_channels * hidden) * (0.01 / math.sqrt(hidden)))
        self.b1 = nn.Parameter(torch.zeros(in_channels * hidden))
        self.w2 = nn.Parameter(torch.randn(hidden, values) * (0.01 / math.sqrt(hidden)))
        self.b2 = nn.Parameter(torch.zeros(values))

    def forward(self, first_code: Tensor | None, image_code: Tensor) -> Tensor:
        """Codes (B, C, S, S) of the first reconstruction, if read, and of the image -> residual (B, out, in, k, k)."""
        read = image_code if first_code is None else torch.cat([first_code, image_code], dim=1)
        fused = self.fusion(read)
        vector = self.feature_extractor(fused).flatten(1)
        by_channel = torch.addmm(self.b1, vector, self.w1).view(len(vector), -1, self.hidden)
        kernels = by_channel @ self.w2 + self.b2
        return kernels.view(len(vector), *self.shape)


class HyperNetwork(nn.Module):
    """Codes (B, L, C, S, S) of an image and of its first reconstruction -> a residual per convolution of the generator.

    Args:
        size: pixels per side of the generator, a power of two from 8; L = 2 log2(size) - 2.
        channels: the generator's width by resolution; None for the published table.
        code_channels: C.
        code_size: S, a power of two from 2.
        hidden: D of the regressors.
        fused_channels: of the regressors.
        extractor_channels: of the regressors.
        sees_first_image: whether the code of the first reconstruction is read beside the image's.
        layer_wise: whether every layer has its code; else L is 1 and all of them read it.

    Raises:
        ReinvertError: no such generator, or codes too small.
    """

    def __init__(
        self,
        size: int,
        channels: Mapping[int, int] | None = None,
        code_channels: int = 512,
        code_size: int = 8,
        hidden: int = 128,
        fused_channels: int = FUSED_CHANNELS,
        extractor_channels: int = EXTRACTOR_CHANNELS,
        sees_first_image: bool = True,
        layer_wise: bool = True,
    ) -> None:
        super().__init__()
        self.predicted = predicted_weights(size, channels)
        if not layer_wise:
            self.predicted = [replace(layer, code=0) for layer in self.predicted]
        self.sees_first_image = sees_first_image
        self.weight_regressors = nn.ModuleDict(
            {
                layer.regressor: WeightRegressor(
                    code_channels,
                    code_size,
                    layer.out_channels,
                    layer.in_channels,
                    layer.kernel,
                    hidden,
                    fused_channels,
                    extractor_channels,
                    2 if sees_first_image else 1,
                )
                for layer in self.predicted
            }
        )

    def forward(self, first_codes: Tensor | None, image_codes: Tensor) -> dict[str, Tensor]:
        """Residuals by the name of the generator's weight.

        Args:
            first_codes: (B, L, C, S, S), of the first reconstruction (the image drawn from W alone); None where it is
                not read.
            image_codes: (B, L, C, S, S), of the image.

        Returns:
            name as in ``Generator.modulated_weights`` -> (B, out, in, k, k).
        """
        return {
            layer.weight: self.weight_regressors[layer.regressor](
                None if first_codes is None else first_codes[:, layer.code], image_codes[:, layer.code]
            )
            for layer in self.predicted
        }
