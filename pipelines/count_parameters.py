"""The stage `count-parameters`: how many weights the published networks have.

Our classes are those whose official checkpoints load strictly (`make conformance`), so their full size needs no
checkpoint: each is built without memory and counted. E2Style is the paper that prints such numbers (Tables I, III, IV),
so its methods and variants are counted, into the table of what was measured at that paper's scale.

Counted is what an inversion runs: the encoders of all steps, not the generator, and not the last residual stage of
E2Style's body, 13 million weights that its checkpoint holds and no step uses. Its convolutional head (Table I, C) is
left out, because the paper does not say how it goes from 32 pixels to 7. Off faces the heads share styles as in
`methods.e2style`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.files import atomic_write_csv
from methods.e2style import styles_per_head
from methods.networks.e2style import StageEncoder
from methods.networks.encoders import PUBLISHED, PUBLISHED_RESNET, GradualStyleEncoder
from methods.networks.idinvert import InDomainEncoder
from pipelines.applications import COLUMNS

STYLES: Mapping[str, int] = {"faces": 18, "cats": 14, "churches": 14, "horses": 14, "cars": 16}
"""Of the generators that the papers invert, of 1024, 256 and 512 pixels."""
_SIZE, _STYLE_DIM = 256, 512
_UNITS = (3, 4, 14, 0)
"""Of the stages of E2Style's body that run."""


def parameters(build: Callable[[], nn.Module]) -> int:
    """How many weights a network has that `build` makes; nothing is allocated."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build().parameters())


def networks(domain: str) -> dict[str, list[Callable[[], nn.Module]]]:
    """What builds the encoders of each method and variant at full size, all that one inversion runs.

    Args:
        domain: a key of `STYLES`.
    """
    styles = STYLES[domain]
    heads = styles_per_head(styles)

    def stage(**arguments: Any) -> Callable[[], nn.Module]:
        return partial(StageEncoder, **{"styles": heads, "units": _UNITS} | arguments)

    body = PUBLISHED if domain == "faces" else PUBLISHED_RESNET
    pyramid = partial(GradualStyleEncoder, _SIZE, styles, _STYLE_DIM, **PUBLISHED)
    restyle = partial(
        GradualStyleEncoder, _SIZE, styles, _STYLE_DIM, **body, coarse_styles=styles, middle_styles=0, in_channels=6
    )
    first, later = stage(), stage(in_channels=6)
    found: dict[str, list[Callable[[], nn.Module]]] = {
        "psp": [pyramid],
        "e4e": [pyramid],
        "restyle-psp": [restyle],
        "restyle-e4e": [restyle],
        "e2style/1-stage": [first],
        "e2style/2-stage": [first, later],
        "e2style/3-stage": [first, later, later],
        "e2style/2-stage-absolute": [first, later],
        "e2style/down-4": [stage(levels=(2,), styles=(styles,), units=(3, 4, 0, 0))],
        "e2style/down-8": [stage(levels=(3,), styles=(styles,))],
        "e2style/down-16": [stage(levels=(4,), styles=(styles,), units=PUBLISHED["units"])],
        "e2style/down-8-three-heads": [first],
        "e2style/down-8-18-conv-heads": [stage(head="map2style")],
        "e2style/with-fpn": [stage(pyramid=True)],
        "e2style/common-loss": [first],
        "e2style/multi-id-loss": [first],
        "e2style/multi-id-and-parsing-loss": [first],
        "e2style/segmentation-loss": [first],
    }
    if domain != "cars":  # IDInvert's generators have 256 pixels and 14 styles; for cars the paper made another
        found |= {"idinvert/encoder": [InDomainEncoder], "idinvert": [InDomainEncoder]}
    return found


def count_parameters(output: Path) -> None:
    """Write the counts of all methods and domains as a `cells.csv` (`reports.claims.measured`).

    Raises:
        ReinvertError: the disk is full.
    """
    rows: list[dict[str, str | float]] = []
    for domain in STYLES:
        for method, builders in networks(domain).items():
            millions = sum(map(parameters, builders)) / 1e6
            rows.append({"domain": domain, "method": method, "metric": "params_millions", "value": millions})
    atomic_write_csv(output, rows, COLUMNS)
