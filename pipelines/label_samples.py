"""The stage `label-samples`: draw codes, draw their images and write down what the domain's judges read off them.

The codes are w of seeded z without truncation, one style for all layers. The attributes: what the judge `attributes`
reads (faces: age in years, yaw in degrees), the share of the picture that the parser gives to each class named in
`generator_quality.CONTENTS`, and the brightness.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from methods import generators
from methods.editing.labelled_samples import LabelledSamples
from metrics import judges
from pipelines import domains, generator_quality
from pipelines.domains.domain import Domain
from pipelines.generator_quality import Pixels
from pipelines.samples_config import LabelledSampling

_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. ITU-R BT.709


def brightness(pixels: Pixels) -> Tensor:
    """(n,) mean luma of images (n, H, W, 3) uint8, 0 (black) to 1 (white); of the coded values, gamma included."""
    return torch.from_numpy((pixels.mean((1, 2), dtype=np.float64) @ np.array(_LUMA) / 255).astype(np.float32))


def shares(masks: Pixels, labels: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Tensor]:
    """By class name, the share (n,) of masks (n, H, W) uint8 that shows it, 0 to 1."""
    return {
        name: torch.from_numpy((masks == labels.index(name)).mean((1, 2), dtype=np.float64).astype(np.float32))
        for name in names
    }


def read_attributes(
    domain: Domain, parser: nn.Module, attributes: nn.Module | None, pixels: Pixels, device: torch.device
) -> dict[str, Tensor]:
    """Every attribute of images (n, H, W, 3) uint8, each (n,) float32 on the CPU.

    Args:
        domain: whose label names the parser's classes are.
        parser: the domain's parser.
        attributes: the judge of that name, None where the domain has none.
        pixels: the images.
        device: where the judges are.
    """
    content = generator_quality.content_of(domain.name)
    masks = generator_quality.read_masks(parser, pixels, device)
    scores = shares(masks, domain.label_names, content.shares) | {"brightness": brightness(pixels)}
    if attributes is not None:
        said = generator_quality.read_images(attributes, pixels, device)
        scores |= {name: torch.cat([batch[name] for batch in said]).float().cpu() for name in content.attributes}
    return scores


def label_samples(
    domain_name: str, settings: LabelledSampling, weights: Path, output: Path, device: torch.device
) -> LabelledSamples:
    """Draw and label samples of a domain's generator and write them to `output` (npz).

    Raises:
        ReinvertError: an unknown domain, or weights missing or altered.
    """
    domain = domains.get(domain_name)
    content = generator_quality.content_of(domain.name)
    loaded = generators.load(domain.name, weights, device)
    parser = judges.load(domain.name, "parser", weights).to(device)
    attributes = judges.load(domain.name, "attributes", weights).to(device) if content.attributes else None
    codes = generator_quality.seeded_codes(loaded.generator, settings.samples, settings.seed)
    pixels = generator_quality.draw_codes(loaded.generator, codes)
    scores = read_attributes(domain, parser, attributes, pixels, device)
    samples = LabelledSamples(codes.cpu(), scores, str(loaded.card.sha256))
    samples.save(output)
    return samples
