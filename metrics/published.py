"""The networks of published scores through the packages that define them: Inception for FID and KID, LPIPS.

The packages fetch weights when their networks are built; here the weights are given, so that scores can be computed
offline, from weights whose hash has been checked. Papers: Heusel et al. (arXiv 1706.08500), Bińkowski et al. (arXiv
1801.01401), Zhang et al. (arXiv 1801.03924).

pytorch-fid and torch-fidelity read the same Inception (the TensorFlow graph of 2015-12-05) but resize differently:
pytorch-fid bilinearly with half-pixel centres from [0, 1], torch-fidelity as TensorFlow 1 did, from bytes. Their scores
differ by it and must not stand in one column.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from core.compat import import_torchvision

FEATURES = ("64", "192", "768", "2048")
"""Inception's features by their number: after the two max-poolings, before the last stage, at the end."""


@contextmanager
def _given_weights(module: ModuleType, state: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, what the package's module would fetch is ``state``; its random initial weights cost the caller none."""
    fetch = module.load_state_dict_from_url
    given: Any = lambda *_, **__: dict(state)  # noqa: E731
    module.load_state_dict_from_url = given  # type: ignore[attr-defined]
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        module.load_state_dict_from_url = fetch  # type: ignore[attr-defined]


def pytorch_fid_inception(state: Mapping[str, Tensor], resize: bool = True) -> nn.Module:
    """pytorch-fid's network: images (B, 3, H, W) in [0, 1] -> the maps of `FEATURES`, to be averaged over positions.

    Args:
        state: the released state dict, in torchvision's names.
        resize: to 299 px first, as scores have it.

    Raises:
        RuntimeError: keys or shapes are not those of that file.
    """
    import_torchvision()
    from pytorch_fid import inception

    with _given_weights(inception, state):
        return inception.InceptionV3(output_blocks=(0, 1, 2, 3), resize_input=resize).eval()


def torch_fidelity_inception(state: Mapping[str, Tensor]) -> nn.Module:
    """torch-fidelity's network: images (B, 3, H, W) uint8 -> `FEATURES` (B, d) and logits without bias (B, 1008).

    Args:
        state: the released state dict, in torchvision's names.

    Raises:
        RuntimeError: keys or shapes are not those of that file.
    """
    import_torchvision()
    from torch_fidelity import feature_extractor_inceptionv3

    names = [*FEATURES, "logits_unbiased"]
    with _given_weights(feature_extractor_inceptionv3, state):
        return feature_extractor_inceptionv3.FeatureExtractorInceptionV3("inception-v3-compat", names).eval()


def lpips_network(
    net: Literal["alex", "vgg", "squeeze"],
    trunk: Mapping[str, Tensor],
    version: Literal["0.1", "0.0"] = "0.1",
    calibrated: bool = True,
    spatial: bool = False,
) -> nn.Module:
    """The lpips package's distance: images a, b (B, 3, H, W) in [-1, 1] -> (B, 1, 1, 1), or (B, 1, H, W) if spatial.

    Args:
        net: AlexNet, VGG-16 or SqueezeNet 1.1.
        trunk: its ImageNet weights in torchvision's names (``features.0.weight``).
        version: of the calibration; 0.0 does not scale the images.
        calibrated: weigh the channels as fitted to human judgements; else sum them.
        spatial: a distance for every pixel.

    Raises:
        RuntimeError: keys or shapes of ``trunk`` are not those of the network.
    """
    import_torchvision()
    import lpips

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package asks torchvision for a random trunk in a deprecated way
        network: nn.Module = lpips.LPIPS(
            net=net, version=version, lpips=calibrated, spatial=spatial, pnet_rand=True, verbose=False
        )
    slices = {name.split(".", 1)[1]: name.split(".", 1)[0] for name in network.get_submodule("net").state_dict()}
    renamed = {}
    for name, value in trunk.items():
        layer = name.removeprefix("features.")
        renamed[f"{slices.get(layer, 'features')}.{layer}"] = value
    network.get_submodule("net").load_state_dict(renamed, strict=True)
    return network.eval().requires_grad_(False)


def folded(network: nn.Module) -> nn.Module:
    """The same Inception, nearly twice as fast on a processor: batch norms inside the convolutions before them.

    Weights lie channels last. Features differ by rounding, some 1e-6 of the largest. Changes ``network`` itself.
    """
    for block in network.modules():
        convolution, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = fuse_conv_bn_eval(convolution, norm)
            block.bn = nn.Identity()
    # A second overload of `to`, which the types of torch know no keyword of.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
