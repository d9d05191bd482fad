"""The supervised start of a generator: growing parts, codes, and the mapping network that learns them."""

import pytest
import torch
from torch.nn import functional

from methods.networks.stylegan2 import Generator
from pipelines.autoencoder import CodeEncoder, part_of_size, reconstruct, shrunk
from pipelines.code_fitting import fit_mapping, normal_map
from pipelines.generator_config import CodeFitting

CHANNELS = {4: 8, 8: 8, 16: 6, 32: 4}


def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(size=32, style_dim=16, mapping_layers=3, channels=CHANNELS)


def test_a_part_is_the_stylegan2_of_its_size() -> None:
    whole = generator()
    part = part_of_size(whole, 16)
    independent = Generator(size=16, style_dim=16, mapping_layers=3, channels=CHANNELS)
    names = independent.state_dict().keys()
    independent.load_state_dict({name: value for name, value in whole.state_dict().items() if name in names})
    styles = torch.randn(3, independent.style_count, 16)
    assert torch.equal(part.synthesis(styles), independent.synthesis(styles))
    assert part.state_dict().keys() == names
    # It shares its parameters: what trains it trains the whole, and only up to its size.
    part.synthesis(styles).sum().backward()
    grown = {name for name, parameter in whole.named_parameters() if parameter.grad is not None}
    assert "convs.3.conv.weight" in grown
    assert not any(name.startswith(("convs.4", "convs.5", "to_rgbs.2")) for name in grown)
    assert part_of_size(whole, 32) is whole


def test_codes_have_one_scale() -> None:
    torch.manual_seed(0)
    encoder = CodeEncoder(32, 16)
    codes = encoder(torch.rand(64, 3, 32, 32) * 2 - 1)
    assert codes.shape == (64, 16)
    torch.testing.assert_close(codes.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    # Batch normalisation adds 1e-5 to a variance that may itself be small.
    torch.testing.assert_close(codes.var(0, unbiased=False), torch.ones(16), atol=1e-2, rtol=0)


def test_reconstruct_compares_images_of_one_size() -> None:
    torch.manual_seed(1)
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    drawn, wanted = reconstruct(generator(), CodeEncoder(32, 16), images, 8)
    assert drawn.shape == wanted.shape == (4, 3, 8, 8)
    torch.testing.assert_close(wanted, functional.interpolate(images, 8, mode="area"))
    assert shrunk(images, 32) is images


def test_normal_map_closed_form() -> None:
    # Four corners of a rectangle: the covariance (of a sample) is diagonal.
    codes = torch.tensor([[1.0, 2.0], [5.0, 2.0], [1.0, 4.0], [5.0, 4.0]])
    mean, root = normal_map(codes)
    torch.testing.assert_close(mean, torch.tensor([3.0, 3.0]))
    torch.testing.assert_close(root, torch.diag(torch.tensor([16 / 3, 4 / 3])).sqrt())
    correlated = torch.randn(500, 3) @ torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 3.0, 0.5]])
    _, root = normal_map(correlated)
    torch.testing.assert_close(root @ root.T, torch.cov(correlated.T))
    torch.testing.assert_close(root, root.T)


def test_the_mapping_network_learns_mean_and_covariance_of_codes() -> None:
    torch.manual_seed(2)
    codes = torch.randn(2000, 16) @ torch.randn(16, 16) + torch.arange(16.0)
    mapping = generator().style
    settings = CodeFitting(codes=2000, steps=1500, batch=256, learning_rate=3.0)
    log = fit_mapping(mapping, codes, settings, seed=0)
    assert [row["step"] for row in log] == [*range(0, 1500, 100), 1499]
    assert log[-1]["difference"] < 0.05 * codes.var(0).mean()
    with torch.no_grad():
        drawn = mapping(torch.randn(4000, 16, generator=torch.Generator().manual_seed(3)))
    # 4,000 draws know a mean to a sixtieth of a deviation; the rest is what the network has not learnt.
    assert ((drawn.mean(0) - codes.mean(0)).abs() < 0.15 * codes.std(0)).all()
    ratio = torch.cov(drawn.T).norm() / torch.cov(codes.T).norm()
    assert ratio.item() == pytest.approx(1.0, abs=0.15)
    again = generator().style
    assert fit_mapping(again, codes, settings.model_copy(update={"steps": 3}), seed=0)[:1] == log[:1]
