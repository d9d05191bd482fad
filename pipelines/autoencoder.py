"""The start of a generator's training: as the second half of an autoencoder that grows from small images to full size.

A GAN that begins with noise needs tens of millions of images before its buildings have towers. An encoder that hands
the synthesis network one w per training image, and a plain difference of images as the loss, bring layout and colours
within some ten thousands: the pair learns what differs between images, in a space that an image can be found in. As in
ALAE (Pidhorskyi et al. 2020, arXiv 2004.04467) the codes live in W, not in Z; that the adversarial training which
follows goes on from an autoencoder is the idea of VAE-GAN (Larsen et al. 2016, arXiv 1512.09300), without its prior:
the mapping network learns where the codes are afterwards (`pipelines/code_fitting.py`).

Small images first (Karras et al. 2018, arXiv 1710.10196): the synthesis network up to size s is itself a StyleGAN2 of
size s, since every resolution adds to the image of the one before, so it is trained on training images of that size, at
a fifth of the cost for 16 pixels, and the larger resolutions are added as they are. Nothing is faded in.
"""

import math

from torch import Tensor, nn
from torch.nn import functional

from methods.networks.stylegan2 import Generator

_SMALLEST_WITH_EXTRA = 16
"""From this size down, a second convolution follows each halving; above it would cost more than it gains."""
_MOST_CHANNELS = 256
_PIXELS_TIMES_CHANNELS = 1024
"""Channels at resolution r: this over r, up to the most."""


class CodeEncoder(nn.Module):
    """Images (B, 3, size, size) in [-1, 1] -> w codes (B, D).

    Every entry of the code has mean 0 and deviation 1 over a batch in training, over the training images in evaluation
    mode (batch normalisation without parameters), so that the synthesis network meets one scale from the first step on.

    Args:
        size: pixels per side, a power of two from 8.
        style_dim: D.
    """

    def __init__(self, size: int, style_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        while size > 4:
            size //= 2
            width = min(_PIXELS_TIMES_CHANNELS // size, _MOST_CHANNELS)
            layers += self._block(channels, width, kernel=4, stride=2)
            if size <= _SMALLEST_WITH_EXTRA:
                layers += self._block(width, width, kernel=3, stride=1)
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels * 4 * 4, style_dim)
        self.normalise = nn.BatchNorm1d(style_dim, affine=False)

    @staticmethod
    def _block(channels: int, width: int, kernel: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(channels, width, kernel, stride, padding=(kernel - 1) // 2, bias=False)
        return [convolution, nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, size, size) -> (B, D)."""
        return self.normalise(self.head(self.body(images).flatten(1)))


def part_of_size(generator: Generator, size: int) -> Generator:
    """The generator of smaller images inside `generator`: a network of its own that shares every parameter with it.

    Args:
        generator: of any size.
        size: of the images wanted, a power of two from 8 up to the generator's own.
    """
    if size == generator.size:
        return generator
    resolutions = int(math.log2(size)) - 2  # beside 4 x 4
    part = Generator.__new__(Generator)
    nn.Module.__init__(part)
    part.size, part.style_dim, part.style_count = size, generator.style_dim, 2 * resolutions + 2
    for name in ("style", "input", "conv1", "to_rgb1"):
        setattr(part, name, getattr(generator, name))
    part.convs = nn.ModuleList(list(generator.convs)[: 2 * resolutions])
    part.to_rgbs = nn.ModuleList(list(generator.to_rgbs)[:resolutions])
    part.noises = nn.Module()
    for index, noise in enumerate(generator.stored_noise()[: part.style_count - 1]):
        part.noises.register_buffer(f"noise_{index}", noise)
    return part


def shrunk(images: Tensor, size: int) -> Tensor:
    """Images (B, 3, H, H) averaged over squares to (B, 3, size, size)."""
    factor = images.shape[-1] // size
    return images if factor == 1 else functional.avg_pool2d(images, factor)


def reconstruct(generator: Generator, encoder: CodeEncoder, images: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, H) -> (what the generator's part of `size` draws from their codes, the images of that size)."""
    part = part_of_size(generator, size)
    return part.synthesis(part.repeat(encoder(images)), noise="random"), shrunk(images, size)
