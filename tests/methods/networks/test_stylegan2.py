"""What inversion needs of the generator: sizes, features, residual weights, noise, gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.errors import ReinvertError
from methods.networks.stylegan2 import Generator

WIDTHS = {4: 8, 8: 6, 16: 5, 32: 4}


def tiny_generator(size: int = 16) -> Generator:
    """With noise strengths and biases that matter."""
    torch.manual_seed(0)
    generator = Generator(size, style_dim=7, mapping_layers=2, channels=WIDTHS)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith(("noise.weight", "activate.bias")):
                parameter.normal_()
    return generator.eval()


@pytest.mark.parametrize(("size", "styles"), [(8, 4), (16, 6), (32, 8)])
def test_sizes(size: int, styles: int) -> None:
    generator = tiny_generator(size)
    assert generator.style_count == styles
    assert [noise.shape[-1] for noise in generator.stored_noise()] == [4, *(r for r in (8, 16, 32) for _ in "ab")][
        : styles - 1
    ]
    assert generator(torch.randn(2, 7)).shape == (2, 3, size, size)


def test_published_widths_are_the_default() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in Generator(256).parameters()) == 30_034_338


def test_forward_is_synthesis_of_repeated_w() -> None:
    generator = tiny_generator()
    z = torch.randn(2, 7)
    assert torch.equal(generator(z), generator.synthesis(generator.repeat(generator.mapping(z))))


def test_each_style_reaches_the_layers_documented() -> None:
    """A change of style j leaves every feature up to the input of convolution j as it was, and changes the next."""
    generator = tiny_generator()
    styles = torch.randn(1, 6, 7)
    for style in range(5):
        changed = styles.clone()
        changed[:, style] += 1.0
        for layer in range(6):
            _, before = generator.synthesis(styles, return_feature_of=layer)
            _, after = generator.synthesis(changed, return_feature_of=layer)
            assert torch.equal(before, after) == (layer <= style)
    changed = styles.clone()
    changed[:, 5] += 1.0  # only the last RGB layer reads it
    before, features = generator.synthesis(styles, return_feature_of=5)
    after, same = generator.synthesis(changed, return_feature_of=5)
    assert torch.equal(features, same)
    assert not torch.equal(before, after)


@pytest.mark.parametrize("layer", [1, 2, 3, 4])
def test_feature_out_and_in_again_is_identity(layer: int) -> None:
    generator = tiny_generator()
    styles = torch.randn(2, 6, 7)
    image, feature = generator.synthesis(styles, return_feature_of=layer)
    assert torch.equal(generator.synthesis(styles, feature=feature, feature_layer=layer), image)
    assert not torch.equal(generator.synthesis(styles, feature=feature + 1.0, feature_layer=layer), image)


def test_feature_leaves_the_rgb_of_its_own_size_alone() -> None:
    """Feature 3 replaces what the first 16x16 convolution reads; with that convolution silent it changes nothing."""
    generator = tiny_generator()
    with torch.no_grad():
        generator.convs[2].conv.weight.zero_()
    styles = torch.randn(1, 6, 7)
    image, feature = generator.synthesis(styles, return_feature_of=3)
    injected, unreplaced = generator.synthesis(
        styles, feature=torch.randn_like(feature), feature_layer=3, return_feature_of=3
    )
    assert torch.equal(injected, image)
    assert torch.equal(unreplaced, feature)


def residuals(generator: Generator, images: int) -> dict[str, Tensor]:
    return {
        name: 0.5 * torch.randn(images, *weight.shape[1:]) for name, weight in generator.modulated_weights().items()
    }


def test_modulated_weights_are_every_convolution_and_rgb_layer() -> None:
    names = set(tiny_generator().modulated_weights())
    expected = {"conv1", "to_rgb1", "to_rgbs.0", "to_rgbs.1", *(f"convs.{index}" for index in range(4))}
    assert names == {f"{name}.conv.weight" for name in expected}


def test_zero_residuals_change_nothing() -> None:
    generator = tiny_generator()
    styles = torch.randn(2, 6, 7)
    plain = generator.synthesis(styles)
    shared = {name: torch.zeros(weight.shape[1:]) for name, weight in generator.modulated_weights().items()}
    assert torch.equal(generator.synthesis(styles, weight_residuals=shared), plain)
    per_image = {name: value.expand(2, *value.shape) for name, value in shared.items()}
    # Grouped convolutions may add in another order: rounding only.
    torch.testing.assert_close(generator.synthesis(styles, weight_residuals=per_image), plain, rtol=1e-5, atol=1e-5)


def test_residuals_of_a_batch_equal_one_image_at_a_time_and_added_weights() -> None:
    generator = tiny_generator()
    styles = torch.randn(3, 6, 7)
    changes = residuals(generator, 3)
    together = generator.synthesis(styles, weight_residuals=changes)
    state = {key: value.clone() for key, value in generator.state_dict().items()}
    for index in range(3):
        own = {name: change[index] for name, change in changes.items()}
        alone = generator.synthesis(styles[index : index + 1], weight_residuals=own)
        torch.testing.assert_close(together[index : index + 1], alone, rtol=1e-5, atol=1e-5)
        added = Generator(16, 7, 2, WIDTHS)
        added.load_state_dict({key: value + own[key] if key in own else value for key, value in state.items()})
        torch.testing.assert_close(added.synthesis(styles[index : index + 1]), alone, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(together, generator.synthesis(styles), atol=1e-2)


def test_every_parameter_of_the_synthesis_may_have_a_residual_per_image() -> None:
    generator = tiny_generator()
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("noise.weight"):
                weight.fill_(0.3)
    styles = torch.randn(3, 6, 7)
    zeros = generator.zero_residuals(3)
    plain = generator.synthesis(styles)
    torch.testing.assert_close(generator.synthesis(styles, weight_residuals=zeros), plain, rtol=1e-5, atol=1e-5)
    assert not [name for name in zeros if name.startswith("style.")]
    changes = {name: 0.1 * torch.randn_like(zero) for name, zero in zeros.items()}
    together = generator.synthesis(styles, weight_residuals=changes)
    state = {key: value.clone() for key, value in generator.state_dict().items()}
    for index in range(3):
        own = {name: change[index] for name, change in changes.items()}
        added = Generator(16, 7, 2, WIDTHS)
        added.load_state_dict({key: value + own[key] if key in own else value for key, value in state.items()})
        expected = added.synthesis(styles[index : index + 1])
        torch.testing.assert_close(together[index : index + 1], expected, rtol=1e-5, atol=1e-5)
        shared = generator.synthesis(styles[index : index + 1], weight_residuals=own)
        torch.testing.assert_close(shared, expected, rtol=1e-5, atol=1e-5)
    plain = plain.detach()
    for name, change in changes.items():  # every one of them reaches the image
        alone = generator.synthesis(styles, weight_residuals={name: 10 * change}).detach()
        assert float((alone - plain).abs().amax(dim=(1, 2, 3)).min()) > 1e-3, name


def test_noise_is_stored_given_or_random() -> None:
    generator = tiny_generator()
    styles = torch.randn(2, 6, 7)
    plain = generator.synthesis(styles)
    assert torch.equal(generator.synthesis(styles, noise=generator.stored_noise()), plain)
    per_image = [noise.repeat(2, 1, 1, 1) for noise in generator.stored_noise()]
    assert torch.equal(generator.synthesis(styles, noise=per_image), plain)
    same = styles[:1].expand(2, -1, -1)
    torch.manual_seed(1)
    first = generator.synthesis(same, noise="random")
    torch.manual_seed(1)
    assert torch.equal(generator.synthesis(same, noise="random"), first)
    assert not torch.equal(first[0], first[1])


def test_images_of_a_batch_do_not_depend_on_each_other() -> None:
    generator = tiny_generator()
    styles = torch.randn(4, 6, 7)
    together = generator.synthesis(styles)
    for index in range(4):
        torch.testing.assert_close(together[index : index + 1], generator.synthesis(styles[index : index + 1]))


def test_latent_statistics_equal_their_definition_over_any_batching() -> None:
    generator = tiny_generator()
    mean, spread = generator.latent_statistics(5000, seed=3)  # more than one internal batch
    source = torch.Generator().manual_seed(3)
    z = torch.cat([torch.randn(4096, 7, generator=source), torch.randn(904, 7, generator=source)])
    w = generator.mapping(z).detach().double()
    torch.testing.assert_close(mean.double(), w.mean(dim=0), rtol=0, atol=1e-6)
    expected = math.sqrt((w - w.mean(dim=0)).square().sum().item() / 5000)
    assert spread == pytest.approx(expected, rel=1e-5)


def test_path_length_penalty_reaches_every_weight_that_shapes_the_image() -> None:
    """The gradient of |J^T y| with respect to the weights (arXiv 1912.04958, equation 4) is a second derivative."""
    generator = tiny_generator(8)
    styles = generator.repeat(generator.mapping(torch.randn(2, 7)))
    images = generator.synthesis(styles)
    (jacobian,) = torch.autograd.grad((images * torch.randn_like(images)).sum() / 8, styles, create_graph=True)
    jacobian.square().sum(dim=(1, 2)).sqrt().mean().backward()
    for name, weight in generator.modulated_weights().items():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_second_derivatives_agree_with_finite_differences() -> None:
    generator = tiny_generator(8).double()
    for parameter in generator.parameters():
        parameter.requires_grad_(False)
    residual = torch.zeros(6, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    styles = torch.randn(1, 4, 7, dtype=torch.float64)
    weighting = torch.randn(1, 3, 8, 8, dtype=torch.float64)

    def slope_norm(change: Tensor) -> Tensor:
        latent = styles.clone().requires_grad_()
        image = generator.synthesis(latent, weight_residuals={"convs.0.conv.weight": change})
        return torch.autograd.grad((image * weighting).sum(), latent, create_graph=True)[0].square().sum()

    (gradient,) = torch.autograd.grad(slope_norm(residual), residual)
    direction = torch.randn_like(residual)
    step = 1e-5
    numeric = (slope_norm(residual + step * direction) - slope_norm(residual - step * direction)) / (2 * step)
    # float64: the error of the central difference, of the order of the step squared.
    assert (gradient * direction).sum().item() == pytest.approx(numeric.item(), rel=1e-5)


def test_bfloat16_autocast_stays_close_to_float32() -> None:
    generator = tiny_generator()
    styles = torch.randn(2, 6, 7)
    exact = generator.synthesis(styles)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = generator.synthesis(styles)
    assert rounded.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits; five layers add up to a few per cent of the largest value at worst.
    assert (rounded.float() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"styles": torch.zeros(1, 5, 7)}, "styles have shape"),
        ({"styles": torch.zeros(1, 6, 7), "noise": "fresh"}, "noise is 'fresh'"),
        ({"styles": torch.zeros(1, 6, 7), "noise": []}, "0 noise maps given"),
        ({"styles": torch.zeros(1, 6, 7), "feature": torch.zeros(1, 6, 8, 8)}, "belong together"),
        ({"styles": torch.zeros(1, 6, 7), "feature": torch.zeros(1, 6, 8, 8), "feature_layer": 5}, "use 1 ... 4"),
        ({"styles": torch.zeros(1, 6, 7), "return_feature_of": 6}, "use 0 ... 5"),
        ({"styles": torch.zeros(1, 6, 7), "weight_residuals": {"convs.9.conv.weight": torch.zeros(1)}}, "convs.9"),
    ],
)
def test_misuse_is_one_clear_line(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ReinvertError, match=message):
        tiny_generator().synthesis(**arguments)


@pytest.mark.parametrize("size", [4, 24, 0])
def test_impossible_sizes_are_refused(size: int) -> None:
    with pytest.raises(ReinvertError, match="power of two from 8"):
        Generator(size, 7, 2, WIDTHS)


def test_missing_width_is_named() -> None:
    with pytest.raises(ReinvertError, match="resolution 64"):
        Generator(64, 7, 2, WIDTHS)
