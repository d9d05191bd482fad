"""The Feature-Style encoder's file (``143_enc.pth``): a plain state dict in insightface's manner of names.

The mean latent is not inside; the authors take it from pSp's checkpoint. The stride of the feature head is in no shape:
it is the published configuration's, 2.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from methods.networks.feature_style import FeatureStyleEncoder, published_names
from methods.official import shapes
from methods.official.layout import (
    DOMAIN_SIZES,
    LAYOUTS,
    Content,
    Layout,
    Official,
    check_domain,
    count,
    derived,
    network,
    tensors,
)

STAGES = range(1, 5)


def _arguments(state: dict[str, Tensor]) -> dict[str, Any]:
    widths = tuple(len(state[f"block_{stage}.0.conv1.weight"]) for stage in STAGES)
    return {
        "style_count": count(state, r"styles\.(\d+)\.weight"),
        "style_dim": len(state["styles.0.weight"]),
        "widths": widths,
        "units": tuple(count(state, rf"block_{stage}\.(\d+)\.") for stage in STAGES),
        "feature_channels": len(state["content_layer.1.weight"]),
        "feature_stage": widths.index(len(state["content_layer.0.weight"])) + 1,
        "grid": shapes.square_root(state["styles.0.weight"].shape[1] // sum(widths)),
        "in_channels": state["conv.0.weight"].shape[1],
    }


def _read(content: Content, domain: str | None) -> Official:
    state = tensors(content, "a state dict")
    arguments = derived(_arguments, state)
    check_domain(domain, 2 ** (arguments["style_count"] // 2 + 1), DOMAIN_SIZES)
    encoder = network(lambda: FeatureStyleEncoder(**arguments), published_names(state, arguments["units"]))
    return Official({"encoder": encoder}, None, {}, "", {"encoder": arguments})


LAYOUTS.register("feature-style-encoder")(
    Layout("a Feature-Style encoder", _read, lambda content: "content_layer.1.weight" in content)
)
