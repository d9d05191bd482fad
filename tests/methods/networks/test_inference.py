"""ReStyle's loop and style mixing with stand-ins whose result is known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.networks.inference import mixed, pooled, restyle
from methods.networks.stylegan2 import Generator


def test_pooling_is_the_mean_of_blocks_and_leaves_the_right_size_alone() -> None:
    images = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert pooled(images, 2)[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert torch.equal(pooled(images, 4), images)
    assert pooled(images, 2, 4).shape == (1, 1, 2, 4)


def test_mixing_touches_the_named_layers_only() -> None:
    styles = torch.arange(6.0).reshape(1, 3, 2)
    out = mixed(styles, torch.tensor([[10.0, 20.0]]), [2], 0.25)
    assert out.tolist() == [[[0.0, 1.0], [2.0, 3.0], [0.75 * 4 + 2.5, 0.75 * 5 + 5.0]]]
    assert styles[0, 2].tolist() == [4.0, 5.0]


class Recorder(nn.Module):
    """An encoder that answers one and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images)
        return torch.ones(len(images), 6, 5)


@torch.no_grad()
def test_loop_adds_offsets_and_shows_the_encoder_its_last_image() -> None:
    torch.manual_seed(0)
    generator = Generator(16, style_dim=5, mapping_layers=1, channels={4: 4, 8: 4, 16: 4})
    encoder, mean, images = Recorder(), torch.randn(5), torch.rand(2, 3, 8, 8)
    steps = list(restyle(encoder, generator, images, mean, steps=2))
    start = mean.expand(2, 6, 5)
    for number, (styles, drawn) in enumerate(steps, start=1):
        torch.testing.assert_close(styles, start + number)
        torch.testing.assert_close(drawn, pooled(generator.synthesis(start + number), 8))
    assert all(torch.equal(seen[:, :3], images) for seen in encoder.seen)
    torch.testing.assert_close(encoder.seen[0][:, 3:], pooled(generator.synthesis(start), 8))
    assert torch.equal(encoder.seen[1][:, 3:], steps[0][1])
