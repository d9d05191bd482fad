"""In-domain inversion at tiny sizes: networks against plain definitions, the refinement against its objective."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from core.errors import ReinvertError
from methods.idinvert import InDomainObjective, crop_mask, diffuse, feature_distance, refine
from methods.networks.idinvert import InDomainEncoder
from methods.networks.stylegan1 import Generator, doubling_kernel
from metrics.judges.vgg16 import Vgg16

CHANNELS = {4: 8, 8: 6, 16: 4}


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(16, 5, 7, 2, CHANNELS, fused_from=16, truncated_rows=2).eval().requires_grad_(False)


@pytest.fixture
def encoder() -> InDomainEncoder:
    torch.manual_seed(1)
    return InDomainEncoder(16, 6, 7, widths=(4, 6, 6)).eval().requires_grad_(False)


def features() -> Vgg16:
    torch.manual_seed(2)
    return Vgg16(last=3, widths=(4, 0, 6)).requires_grad_(False)


def test_doubling_kernel_is_repetition_then_convolution() -> None:
    images, weight = torch.randn(2, 3, 5, 5), torch.randn(4, 3, 3, 3)
    expected = F.conv2d(images.repeat_interleave(2, 2).repeat_interleave(2, 3), weight, padding=1)
    found = F.conv_transpose2d(images, doubling_kernel(weight), stride=2, padding=1)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_generator_shapes_names_and_truncation(generator: Generator) -> None:
    z = torch.randn(3, 5)
    assert generator(z).shape == (3, 3, 16, 16)
    assert generator(z).abs().max() <= 1
    assert generator.mapping(z).shape == (3, 6, 7)
    names = generator.state_dict()
    assert names["synthesis.layer4.weight"].shape == (3, 3, 6, 4)  # fused at 16 px
    assert names["synthesis.layer2.conv.weight"].shape == (6, 8, 3, 3)
    assert names["synthesis.layer2.blur.kernel"].shape == (6, 1, 3, 3)
    generator.truncation.w_avg.fill_(2.0)
    raw, truncated = generator.mapping(z), generator.styles(z)
    torch.testing.assert_close(truncated[:, :2], 2 + 0.7 * (raw[:, :2] - 2))
    torch.testing.assert_close(truncated[:, 2:], raw[:, 2:])
    with pytest.raises(ReinvertError, match="one number for each"):
        Generator(16, channels={4: 8})


def test_epilogue_normalises_each_channel(generator: Generator) -> None:
    layer = generator.synthesis.get_submodule("layer1").epilogue
    with torch.no_grad():
        layer.apply_noise.weight.fill_(0.3)
        layer.style_mod.dense.wscale.bias.zero_()
        layer.style_mod.dense.fc.weight.zero_()  # scale 1, shift 0
    out = layer(torch.randn(2, 8, 4, 4), torch.randn(2, 7))
    torch.testing.assert_close(out.mean(dim=(2, 3)), torch.zeros(2, 8), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim=(2, 3), unbiased=False), torch.ones(2, 8), atol=1e-4, rtol=0)


def test_encoder_shapes_and_shortcuts(encoder: InDomainEncoder) -> None:
    assert encoder(torch.randn(2, 3, 16, 16)).shape == (2, 6, 7)
    assert "block1.conv.weight" in encoder.state_dict() and "block2.conv.weight" not in encoder.state_dict()
    block = encoder.get_submodule("block2")
    with torch.no_grad():
        block.conv2.weight.zero_()
    hidden = torch.randn(2, 6, 8, 8)
    torch.testing.assert_close(block(hidden), F.avg_pool2d(hidden, 2))
    with pytest.raises(ReinvertError, match="not 64"):
        InDomainEncoder(64, widths=(4, 6, 6))


def test_vgg_input_is_caffes() -> None:
    network = Vgg16(last=0, widths=(3,))
    with torch.no_grad():
        network.layer0.weight.zero_()
        network.layer0.bias.zero_()
        network.layer0.weight[[0, 1, 2], [0, 1, 2], 1, 1] = 1
    image = torch.stack([torch.full((4, 4), value) for value in (1.0, 0.0, -1.0)])[None]
    expected = torch.tensor([0 - 103.939, 127.5 - 116.779, 255 - 123.68])  # B, G, R of an orange
    torch.testing.assert_close(network(image)[0, :, 0, 0], expected)


def test_refinement_lowers_its_objective(generator: Generator, encoder: InDomainEncoder) -> None:
    objective = InDomainObjective(generator.synthesis, feature_distance(features()), encoder)
    images = generator(torch.randn(2, 5))
    start = torch.randn(2, 6, 7)
    path = list(refine(images, start, objective, steps=30))
    totals = [objective.total(step.terms) for step in path]
    assert (totals[-1] < totals[0]).all()
    first = path[0].terms
    torch.testing.assert_close(first["pixel"], (images - generator.synthesis(start)).square().mean(dim=(1, 2, 3)))
    found = (features()(images) - features()(generator.synthesis(start))).square().flatten(1).mean(dim=1)
    torch.testing.assert_close(first["feature"], found)
    expected = (start - encoder(generator.synthesis(start))).square().mean(dim=(1, 2))
    torch.testing.assert_close(first["domain"], expected)
    torch.testing.assert_close(totals[0], first["pixel"] + 5e-5 * first["feature"] + 2 * first["domain"])


def test_diffusion_sees_the_mask_only(generator: Generator, encoder: InDomainEncoder) -> None:
    objective = InDomainObjective(generator.synthesis, feature_distance(features()), None)
    target, context = torch.rand(2, 1, 3, 16, 16) * 2 - 1
    mask = crop_mask(16, (8, 7), width=6, height=4)
    assert mask.sum() == 24 and mask[0, 0, 5:9, 5:11].all()
    step = next(iter(diffuse(target, context, mask, encoder, objective, steps=1)))
    start = encoder(torch.where(mask.bool(), target, context))
    inside = ((target - generator.synthesis(start)) * mask).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(step.terms["pixel"], inside)
    assert "domain" not in step.terms
