"""On a CPU an image's inversion does not depend on its batch, to the bit, at the sizes that ship.

The networks have the embedded scale's widths and random weights; learning rate and losses are those of params.yaml.
Equal bits are asked for because anything less grows: at a rate of 0.1, differences of 1e-7 were seen to reach 1e-2
within 80 steps.
"""

import torch

from core.weights import WeightsCard
from methods.code import Code
from methods.generators import LoadedGenerator
from methods.losses import ReconstructionLoss
from methods.networks.stylegan2 import Generator
from methods.optimization import Optimization, OptimizationArguments
from methods.training_config import LossWeights
from metrics.judges import ARCHITECTURES
from metrics.perceptual import Perceptual

STEPS = 12


def _generator() -> LoadedGenerator:
    torch.manual_seed(0)
    generator = Generator(64, 128, 4, {4: 128, 8: 128, 16: 128, 32: 64, 64: 32}).eval().requires_grad_(False)
    mean, std = generator.latent_statistics(256, seed=0)
    card = WeightsCard(
        name="generator", domain="faces", architecture="stylegan2", arguments={}, recipe=1, images_seen=0, seed=0,
        device="cpu", code_version="none",
    )  # fmt: skip
    return LoadedGenerator(generator, mean, std, card)


def test_w_plus_optimisation_in_a_batch_equals_alone() -> None:
    weights = LossWeights(l2=1.0, lpips=1.0)
    network = ARCHITECTURES.get("alexnet-features")()
    loss = ReconstructionLoss(weights, perceptual=Perceptual(network.eval()))
    arguments = OptimizationArguments(space="w+", steps=STEPS, learning_rate=0.1, losses=weights, yield_every=STEPS)
    method = Optimization(_generator(), loss, arguments)
    torch.manual_seed(1)
    images = torch.rand(3, 3, 64, 64) * 2 - 1

    def invert(part: torch.Tensor) -> Code:
        return list(method.invert(part, 0))[-1].code

    together = invert(images)
    start = method.generator.mean_code(3).styles
    assert (together.styles - start).abs().mean() > 0.1  # it did move
    for index in range(3):
        assert torch.equal(together.styles[index], invert(images[index : index + 1]).styles[0])
    assert torch.equal(together.styles[:2], invert(images[:2]).styles)
