"""SeFa: directions read off the generator's own weights, without data.

Paper: Shen & Zhou, "Closed-Form Factorization of Latent Semantics in GANs" (arXiv 2007.06600), equation 5: the
eigenvectors of A A^T, where A holds what layers make of a latent, are the directions that change their styles most.
Two variants are in circulation:

- the official one: the style weights of the styled convolutions and of the *last* RGB layer only, each output channel's
  vector scaled to unit length, so that all channels count alike;
- the one beside the widespread PyTorch StyleGAN2: weights as they are, of all convolutions and of the *first* RGB layer
  (its filter "to_rgbs" lets "to_rgb1" through); its values are singular values, the roots of the eigenvalues here.

Biases and the gain of the equalised learning rate do not enter: a common factor turns no eigenvector.

Deviation: eigenvalues are sorted and signs fixed, in float64; the official code leaves both to the library.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.editing.directions import with_fixed_sign
from methods.networks.stylegan2 import Generator


def style_weights(generator: Generator, layers: Sequence[int] | None = None) -> list[Tensor]:
    """Weights (C, D) that turn a latent into the styles of layers.

    Args:
        generator: of L styles.
        layers: 0 ... L - 2 for a styled convolution, L - 1 for the last RGB layer; None for all of them.

    Raises:
        ReinvertError: a layer that does not exist.
    """
    convolutions = [generator.conv1, *generator.convs]
    last_rgb = generator.to_rgbs[-1] if len(generator.to_rgbs) else generator.to_rgb1
    weights = [layer.conv.modulation.weight for layer in (*convolutions, last_rgb)]
    chosen = range(len(weights)) if layers is None else layers
    unknown = [layer for layer in chosen if not 0 <= layer < len(weights)]
    if unknown:
        raise ReinvertError(f"this generator has no layer {unknown[0]}; use 0 ... {len(weights) - 1}")
    return [weights[layer] for layer in chosen]


def unscaled_style_weights(generator: Generator) -> list[Tensor]:
    """The weights (C, D) of the second variant (see the module), in the order of the state dict."""
    return [layer.conv.modulation.weight for layer in (generator.conv1, generator.to_rgb1, *generator.convs)]


@torch.no_grad()
def factorize(weights: Sequence[Tensor], normalize: bool = True) -> tuple[Tensor, Tensor]:
    """Eigenvalues (D,), largest first, and the unit directions (D, D) they belong to, one per row; float64.

    Args:
        weights: (C, D) of each layer.
        normalize: scale each output channel's vector (D,) to unit length first.
    """
    channels = torch.cat([weight.double() for weight in weights])
    if normalize:
        channels = channels / channels.norm(dim=1, keepdim=True)
    values, vectors = torch.linalg.eigh(channels.t() @ channels)
    return values.flip(0), with_fixed_sign(vectors.flip(1).t())
