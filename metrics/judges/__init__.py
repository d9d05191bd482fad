"""Judges: networks trained on a domain's ground truth, which measure reconstructions or serve in training losses.

On the embedded scale they stand in for ArcFace, CurricularFace, Inception and an ImageNet AlexNet, whose weights
cannot be shipped; every table says so.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from core.weights import load_weights
from metrics.judges import attributes, features, identity_judge, ir_se, moco, parser, perceptual
from metrics.judges.registry import ARCHITECTURES


def load(domain: str, name: str, weights_root: str | Path = Path("weights")) -> nn.Module:
    """A trained judge: frozen, in eval mode, float32, on the CPU.

    Args:
        domain: for example "faces".
        name: "identity-train", "identity-judge": images -> unit embeddings (B, d). "attributes": images ->
            {"age": (B,) years, "yaw": (B,) degrees}. "parser": images -> logits (B, classes, H, W). "features":
            images -> (B, d). "similarity": images -> unit features (B, d). "perceptual": images -> five feature maps;
            for distances see `perceptual.lpips_module`.
            Images are (B, 3, H, W) in [-1, 1] at the domain's size.
        weights_root: folder that holds `<domain>/<name>/`.

    Raises:
        ReinvertError: weights missing or altered, or made for an architecture that is not here.
    """
    state, card = load_weights(Path(weights_root) / domain / name)
    network = ARCHITECTURES.get(card.architecture)(**card.arguments)
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


__all__ = [
    "ARCHITECTURES",
    "attributes",
    "features",
    "identity_judge",
    "ir_se",
    "load",
    "moco",
    "parser",
    "perceptual",
]
