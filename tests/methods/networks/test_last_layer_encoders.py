"""The encoders that read the last map, at small sizes."""

from __future__ import annotations

import pytest
import torch

from methods.networks.last_layer_encoders import LastLayerEncoder, LastLayerWPlusEncoder

SMALL = {"widths": (4, 4, 6, 8), "units": (1, 1, 1, 1)}


@pytest.mark.parametrize("body", ["ir_se", "resnet"])
def test_one_style_is_a_linear_function_of_the_mean_map(body: str) -> None:
    torch.manual_seed(0)
    encoder = LastLayerEncoder(32, 7, body=body, **SMALL).eval()
    images = torch.randn(2, 3, 32, 48)
    (last,) = encoder.outputs_of(images, [3])
    assert last.shape == (2, 8, 2, 3)
    expected = last.flatten(2).mean(dim=2) @ encoder.linear.weight.t() / 8**0.5 + encoder.linear.bias
    torch.testing.assert_close(encoder(images), expected, rtol=1e-5, atol=1e-6)


def test_all_styles_from_one_vector() -> None:
    torch.manual_seed(0)
    encoder = LastLayerWPlusEncoder(32, 5, 7, grid=2, **SMALL).eval()
    images = torch.randn(2, 3, 32, 32)
    styles = encoder(images)
    assert styles.shape == (2, 5, 7)
    (last,) = encoder.outputs_of(images, [3])
    normalised = last / (1.0 + 1e-5) ** 0.5  # fresh batch statistics; the 2 x 2 map is its own pooling
    vector = encoder.output_layer_2[3](normalised.reshape(2, -1))
    third = vector @ encoder.linear.weight[14:21].t() / 8**0.5  # biases start at zero
    torch.testing.assert_close(styles[:, 2], third, rtol=1e-5, atol=1e-6)
