"""Every architecture: shapes, ranges, independence of the batch; and that AlexNet is what lpips expects."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from core.errors import ReinvertError
from core.weights import WeightsCard, save_weights
from metrics import judges
from metrics.judges.attributes import AttributeRegressor
from metrics.judges.features import PooledFeatures
from metrics.judges.identity_judge import PlainGlobalDepthwise
from metrics.judges.ir_se import SqueezeExcitation
from metrics.judges.layers import grid_after, space_to_depth
from metrics.judges.parser import UNet
from metrics.judges.perceptual import AlexNetFeatures, lpips_module

SMALL: dict[str, dict[str, Any]] = {
    "ir-se": {"size": 32, "stem_stride": 2, "widths": [8, 8], "units": [1, 2], "embedding": 6},
    "moco-resnet": {"size": 32, "units": [1, 1, 1, 1], "widths": [4, 4, 4, 4]},
    "plain-global-depthwise": {"size": 32, "stem": 4, "channels": [8, 8], "embedding": 6},
    "attribute-regressor": {"size": 32, "channels": [4, 8], "hidden": 5, "outputs": {"age": [50, 17], "yaw": [0, 23]}},
    "u-net": {"size": 32, "classes": 5, "channels": [4, 6, 8]},
    "alexnet-features": {},
    "pooled-features": {"size": 32, "stem": 4, "channels": [8], "features": 7},
}  # fmt: skip


def _images(count: int = 3, size: int = 32) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def _build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return judges.ARCHITECTURES.get(name)(**SMALL[name]).eval()


def _flat(output: Any) -> torch.Tensor:
    if isinstance(output, dict):
        output = [value[:, None] for value in output.values()]
    return torch.cat([part.flatten(1) for part in ([output] if isinstance(output, torch.Tensor) else output)], 1)


def test_every_architecture_is_tested() -> None:
    assert set(judges.ARCHITECTURES.names()) == set(SMALL)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_an_image_gives_the_same_in_any_batch(name: str) -> None:
    network = _build(name)
    together = _flat(network(_images()))
    for i in range(3):
        # float32 sums in another order, on outputs of order 1 to 100.
        torch.testing.assert_close(_flat(network(_images()[i : i + 1])), together[i : i + 1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["ir-se", "plain-global-depthwise"])
def test_embeddings_have_length_one(name: str) -> None:
    embedding = _build(name)(_images())
    assert embedding.shape == (3, 6)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(3))


def test_shapes_of_the_others() -> None:
    assert {key: tuple(v.shape) for key, v in _build("attribute-regressor")(_images()).items()} == {
        "age": (3,),
        "yaw": (3,),
    }
    assert _build("u-net")(_images()).shape == (3, 5, 32, 32)
    assert _build("pooled-features")(_images()).shape == (3, 7)
    maps = AlexNetFeatures().eval()(_images(2, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 15, 15), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]


def test_attributes_are_affine_in_their_own_units() -> None:
    torch.manual_seed(0)
    plain = AttributeRegressor(32, [4, 8], 5, {"age": (0.0, 1.0)}).eval()
    scaled = AttributeRegressor(32, [4, 8], 5, {"age": (50.0, 10.0)}).eval()
    scaled.load_state_dict(plain.state_dict())
    torch.testing.assert_close(scaled(_images())["age"], 50 + 10 * plain(_images())["age"])


def test_every_pixel_of_the_parser_can_see_its_own_input() -> None:
    network = _build("u-net")
    images = _images().requires_grad_(True)
    network(images)[0, :, 5, 9].sum().backward()
    assert images.grad is not None
    assert float(images.grad[0, :, 5, 9].abs().sum()) > 0
    assert float(images.grad[1:].abs().sum()) == 0


def test_squeeze_excitation_scales_channels_by_what_the_means_say() -> None:
    gate = SqueezeExcitation(4)
    features = torch.rand(2, 4, 3, 3)
    for parameter in gate.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(gate(features), features / 2)
    nn.init.ones_(gate.fc1.weight)
    gate.fc2.weight.data[1] = 100.0  # the means are positive: wide open
    gate.fc2.weight.data[2] = -100.0
    expected = features * torch.tensor([0.5, 1.0, 0.0, 0.5])[:, None, None]
    torch.testing.assert_close(gate(features), expected)


def test_space_to_depth_loses_nothing() -> None:
    images = _images()
    packed = space_to_depth(images)
    assert packed.shape == (3, 12, 16, 16)
    assert torch.equal(packed.flatten(1).sort(1).values, images.flatten(1).sort(1).values)
    assert torch.equal(packed[:, 0], images[:, 0, ::2, ::2])


@pytest.mark.parametrize(
    "build",
    [
        lambda: PlainGlobalDepthwise(20, 4, [8, 8], 6),
        lambda: PooledFeatures(18, 4, [8], 7),
        lambda: UNet(18, 5, [4, 6, 8]),
        lambda: grid_after(30, 2),
    ],
)
def test_sizes_that_cannot_be_halved_are_named(build: Any) -> None:
    with pytest.raises(ReinvertError, match="cannot be halved"):
        build()


def test_alexnet_has_torchvisions_layers() -> None:
    from core.compat import import_torchvision

    reference = import_torchvision().models.alexnet(weights=None).features
    ours = AlexNetFeatures().eval()
    ours.features.load_state_dict(reference.state_dict(), strict=True)
    images = _images(2, 64)
    # The same operations in the same order on the scaled image.
    expected = reference[:12]((images - ours.shift) / ours.scale)
    torch.testing.assert_close(ours(images)[-1], expected, rtol=0, atol=0)


def test_lpips_is_the_uncalibrated_distance_of_the_paper() -> None:
    torch.manual_seed(1)
    network = AlexNetFeatures().eval()
    module = lpips_module(network.state_dict())
    real, fake = _images(4, 64), _images(4, 64).flip(0)
    expected = torch.zeros(4, dtype=torch.float64)
    for a, b in zip(network(real), network(fake), strict=True):
        a, b = a.double(), b.double()
        difference = a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)
        expected += difference.square().sum(1).mean((1, 2)).detach()
    found = module(real, fake)
    assert found.shape == (4, 1, 1, 1)
    # float32 against float64 on five sums of order 0.1; lpips adds 1e-10 to the norms.
    torch.testing.assert_close(found.flatten().double(), expected, rtol=1e-4, atol=1e-5)
    assert float(module(real, real).abs().max()) == 0


def test_lpips_is_frozen_but_lets_gradients_through() -> None:
    module = lpips_module(AlexNetFeatures().state_dict())
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    fake = _images(2, 64).flip(0).requires_grad_(True)
    module(_images(2, 64), fake).sum().backward()
    assert fake.grad is not None
    assert float(fake.grad.abs().max()) > 0


def _save(root: Path, architecture: str) -> nn.Module:
    network = _build(architecture)
    card = WeightsCard(
        name="x", domain="toy", architecture=architecture, arguments=SMALL.get(architecture, {}), recipe=1,
        images_seen=0, seed=0, device="cpu", code_version="test",
    )  # fmt: skip
    save_weights(root / "toy" / "x", network.state_dict(), card)
    return network


@pytest.mark.parametrize("name", sorted(SMALL))
def test_load_rebuilds_a_judge_from_its_card(name: str, tmp_path: Path) -> None:
    network = _save(tmp_path, name)
    loaded = judges.load("toy", "x", tmp_path)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert torch.equal(_flat(loaded(_images())), _flat(network(_images())))


def test_a_card_of_an_unknown_architecture_is_named(tmp_path: Path) -> None:
    network = _build("u-net")
    card = WeightsCard(
        name="x", domain="toy", architecture="u-nett", arguments=SMALL["u-net"], recipe=1, images_seen=0, seed=0,
        device="cpu", code_version="test",
    )  # fmt: skip
    save_weights(tmp_path / "toy" / "x", network.state_dict(), card)
    with pytest.raises(ReinvertError, match="did you mean 'u-net'"):
        judges.load("toy", "x", tmp_path)
