"""The published feature networks at tiny sizes: what the goldens cannot show (arguments, names, closed forms)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from metrics.judges.bisenet import BiSeNet
from metrics.judges.ir_se import FaceNetwork, ResidualUnit, insightface_names, residual_body, stage_ends
from metrics.judges.moco import MocoNetwork, moco_names
from metrics.judges.parsing_unet import ParsingUNet
from metrics.judges.resnet import ResNet

SMALL: dict[str, Any] = {"widths": (4, 4, 6, 8), "units": (1, 2, 1, 1)}


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("excite", "insightface"), [(True, False), (False, False), (False, True)])
def test_face_network_gives_stages_and_unit_vectors(excite: bool, insightface: bool) -> None:
    network = FaceNetwork(32, **SMALL, embedding=5, excite=excite, insightface=insightface).eval()
    faces = torch.randn(2, 3, 32, 32)
    shapes = [tuple(layer.shape[1:]) for layer in network.features(faces)]
    assert shapes == [(4, 16, 16), (4, 8, 8), (6, 4, 4), (8, 2, 2), (5,)]
    assert torch.allclose(network(faces).norm(dim=1), torch.ones(2))
    with pytest.raises(ReinvertError, match="reads 32 px"):
        network(faces[:, :, :16])


def test_a_size_that_does_not_halve_is_refused() -> None:
    with pytest.raises(ReinvertError, match="multiple of 16"):
        FaceNetwork(24, **SMALL)
    with pytest.raises(ReinvertError, match="multiple of 32"):
        FaceNetwork(48, **SMALL, stem_stride=2)


def test_a_strided_stem_halves_every_stage() -> None:
    network = FaceNetwork(64, **SMALL, embedding=5, stem_stride=2).eval()
    shapes = [tuple(layer.shape[1:]) for layer in network.features(torch.randn(2, 3, 64, 64))]
    assert shapes == [(4, 16, 16), (4, 8, 8), (6, 4, 4), (8, 2, 2), (5,)]


def test_only_insightface_projects_a_strided_shortcut_of_equal_width() -> None:
    assert ResidualUnit(4, 4, 2).shortcut_layer is None
    assert ResidualUnit(4, 4, 2, insightface=True).shortcut_layer is not None
    assert ResidualUnit(4, 4, 1, insightface=True).shortcut_layer is None


def test_published_depths() -> None:
    assert stage_ends((3, 4, 14, 3)) == [2, 6, 20, 23]
    strided = [i for i, unit in enumerate(residual_body((2, 2, 2, 2), (3, 13, 30, 3))) if unit.stride == 2]
    assert strided == [0, 3, 16, 46]


def test_insightface_names_are_translated_one_to_one() -> None:
    network = FaceNetwork(16, (2, 2, 2, 2), (1, 2, 1, 1), embedding=3, excite=False, insightface=True)
    ours = network.state_dict()
    units = {"1": ["0"], "2": ["1", "2"], "3": ["3"], "4": ["4"]}
    inner = {
        "0": "bn1",
        "1": "conv1",
        "2": "bn2",
        "3": "prelu",
        "4": "conv2",
        "5": "bn3",
    }
    top = {"input_layer": ("conv1", "bn1", "prelu"), "output_layer": ("bn2", "", "", "fc", "features")}
    theirs: dict[str, Tensor] = {}
    for name, value in ours.items():
        first, second, *rest = name.split(".")
        if first == "body":
            stage = next(number for number, members in units.items() if second in members)
            index = units[stage].index(second)
            part = f"downsample.{rest[1]}" if rest[0] == "shortcut_layer" else inner[rest[1]]
            theirs[".".join([f"layer{stage}", str(index), part, *rest[2:]])] = value
        else:
            theirs[".".join([top[first][int(second)], *rest])] = value
    assert len(theirs) == len(ours)
    translated = insightface_names(theirs, units=(1, 2, 1, 1))
    assert translated.keys() == ours.keys()
    assert all(translated[name] is ours[name] for name in ours)
    assert "unheard.of" in insightface_names({"unheard.of": torch.zeros(1)})


@pytest.mark.parametrize(("bottleneck", "wide"), [(False, 1), (True, 4)])
def test_resnet_sizes(bottleneck: bool, wide: int) -> None:
    network = ResNet((1, 2, 1, 1), bottleneck, widths=(2, 4, 6, 8)).eval()
    maps = network.stages(torch.randn(2, 3, 64, 64))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (2 * wide, 16, 16),
        (4 * wide, 8, 8),
        (6 * wide, 4, 4),
        (8 * wide, 2, 2),
    ]
    assert torch.allclose(
        network(torch.zeros(1, 3, 64, 64)), network.stages(torch.zeros(1, 3, 64, 64))[-1].mean((2, 3))
    )


def test_moco_squashes_to_its_size_and_sees_only_the_nearest_pixels() -> None:
    network = MocoNetwork(32, (1, 1, 1, 1), (2, 2, 2, 2)).eval()
    images = torch.randn(1, 3, 48, 64)
    before = network(images)
    assert torch.allclose(before.norm(dim=1), torch.ones(1))
    changed = images.clone()
    changed[:, :, :, 1::2] += 1.0  # 64 -> 32 columns: the odd ones are passed over
    assert torch.equal(network(changed), before)
    changed[:, :, :, 0::2] += 1.0
    assert not torch.equal(network(changed), before)


def test_moco_names_keep_the_query_encoder_without_its_head() -> None:
    state = {f"module.encoder_{side}.{name}": torch.zeros(1) for side in "qk" for name in ("conv1.weight", "fc.0.bias")}
    assert list(moco_names(state | {"module.queue": torch.zeros(1)})) == ["conv1.weight"]


def test_unet_features_are_pooled_maps_and_logits_have_the_image_size() -> None:
    network = ParsingUNet(classes=3, widths=(2, 4, 6)).eval()
    images = torch.randn(2, 3, 16, 24)
    assert network(images).shape == (2, 3, 16, 24)
    features = network.features(images)
    assert [tuple(f.shape[1:]) for f in features] == [(2, 8, 12), (4, 4, 6), (6, 4, 6)]
    full = network.get_submodule("conv1")(images)
    pooled = full.unflatten(3, (-1, 2)).unflatten(2, (-1, 2)).amax(dim=(3, 5))
    torch.testing.assert_close(features[0], pooled, rtol=0, atol=1e-6)  # two kernels of the same convolution


def test_bisenet_gives_three_maps_at_its_own_size() -> None:
    network = BiSeNet(classes=3, size=64, units=(1, 1, 1, 1), widths=(2, 4, 4, 4), channels=4, hidden=2).eval()
    maps = network(torch.randn(2, 3, 40, 40))
    assert [tuple(logits.shape) for logits in maps] == [(2, 3, 64, 64)] * 3
    white = network.prepared(torch.full((1, 3, 8, 8), 3.0))  # beyond the range: clamped to 1
    assert white[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])
