"""The stage `label-samples`: draw codes, draw their images and write down what the domain's judges read off them.

The codes are w of seeded z without truncation, one style for all layers. The attributes: what the judge `attributes`
reads (faces: age in years, yaw in degrees), the share of the picture that the parser gives to each class named in
`generator_quality.CONTENTS`, the brightness, and how far the corners of a mouth stand up where the parser knows mouths.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from methods import generators
from methods.editing.labelled_samples import LabelledSamples
from metrics import judges
from pipelines import domains, generator_quality
from pipelines.domains.domain import Domain
from pipelines.generator_quality import Pixels
from pipelines.samples_config import LabelledSampling

_MOUTH_PIXELS, _MOUTH_COLUMNS = 8, 4
_LUMA = (0.2126, 0.7152, 0.0722)  # Rec. ITU-R BT.709


def brightness(pixels: Pixels) -> Tensor:
    """(n,) mean luma of images (n, H, W, 3) uint8, 0 (black) to 1 (white); of the coded values, gamma included."""
    return torch.from_numpy((pixels.mean((1, 2), dtype=np.float64) @ np.array(_LUMA) / 255).astype(np.float32))


def mouth_lift(mouths: NDArray[np.bool_]) -> Tensor:
    """(n,) pixels by which the ends of a mouth stand above its middle, of masks (n, H, W): positive for a smile.

    The curvature of the parabola nearest to a mouth's pixels in least squares, times the square of half its width. On
    the true masks of faces it correlates with the renderer's smile by 0.97. A mouth of fewer than 4 columns or 8 pixels
    shows none and counts as straight, 0.
    """
    lifts = np.zeros(len(mouths), dtype=np.float32)
    for place, mouth in enumerate(mouths):
        rows, columns = np.nonzero(mouth)
        if len(rows) >= _MOUTH_PIXELS and len(np.unique(columns)) >= _MOUTH_COLUMNS:
            half = (columns.max() - columns.min()) / 2
            lifts[place] = -np.polyfit((columns - columns.min()) / half - 1, rows, 2)[0]
    return torch.from_numpy(lifts)


def shares(masks: Pixels, labels: tuple[str, ...], names: tuple[str, ...]) -> dict[str, Tensor]:
    """By class name, the share (n,) of masks (n, H, W) uint8 that shows it, 0 to 1."""
    return {
        name: torch.from_numpy((masks == labels.index(name)).mean((1, 2), dtype=np.float64).astype(np.float32))
        for name in names
    }


def read_attributes(
    domain: Domain, masks: Pixels, attributes: nn.Module | None, pixels: Pixels, device: torch.device
) -> dict[str, Tensor]:
    """Every attribute of images (n, H, W, 3) uint8, each (n,) float32 on the CPU.

    Args:
        domain: whose label names the parser's classes are.
        masks: (n, H, W) uint8, what the domain's parser sees in the images.
        attributes: the judge of that name, None where the domain has none.
        pixels: the images.
        device: where the judge is.
    """
    content = generator_quality.content_of(domain.name)
    scores = shares(masks, domain.label_names, content.shares) | {"brightness": brightness(pixels)}
    if "mouth" in domain.label_names:
        scores["smile"] = mouth_lift(masks == domain.label_names.index("mouth"))
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
    masks = generator_quality.read_masks(parser, pixels, device)
    scores = read_attributes(domain, masks, attributes, pixels, device)
    samples = LabelledSamples(codes.cpu(), scores, str(loaded.card.sha256), settings.seed)
    samples.save(output)
    return samples
