"""Directions: factorisations, boundaries, components and moves, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.errors import ReinvertError
from methods.editing import ganspace, interfacegan, sefa
from methods.editing.directions import move, with_fixed_sign
from methods.networks.stylegan2 import Generator


def unit(values: torch.Tensor) -> torch.Tensor:
    return values / values.norm(dim=-1, keepdim=True)


def test_move_reaches_the_chosen_rows_only() -> None:
    styles, direction = torch.randn(2, 4, 3), torch.randn(3)
    moved = move(styles, direction, 2.0, slice(1, 3))
    torch.testing.assert_close(moved[:, 1:3] - styles[:, 1:3], (2 * direction).expand(2, 2, 3))
    assert torch.equal(moved[:, [0, 3]], styles[:, [0, 3]])
    assert torch.equal(move(styles, direction, 2.0, [1, 2]), moved)
    torch.testing.assert_close(move(styles, direction, -1.0), styles - direction)


def test_sefa_finds_the_direction_a_layer_answers_to() -> None:
    torch.manual_seed(0)
    generator = Generator(8, style_dim=6, mapping_layers=1, channels={4: 5, 8: 5})
    strongest = unit(torch.tensor([[0.1, -2.0, 0.0, 0.3, 0.0, 0.0]]))
    with torch.no_grad():
        generator.conv1.conv.modulation.weight.copy_(torch.randn(5, 1) * strongest)
    values, directions = sefa.factorize(sefa.style_weights(generator, [0]))
    # Five unit vectors along one line: its eigenvalue is 5, the rest 0; the sign makes the largest entry positive.
    torch.testing.assert_close(values, torch.tensor([5.0, 0, 0, 0, 0, 0]).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(directions[0], -strongest[0].double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(directions @ directions.t(), torch.eye(6).double())


def test_sefa_layers() -> None:
    generator = Generator(16, style_dim=6, mapping_layers=1, channels={4: 5, 8: 4, 16: 3})
    weights = sefa.style_weights(generator)
    assert len(weights) == generator.style_count == 6
    assert weights[-1] is generator.to_rgbs[-1].conv.modulation.weight
    assert weights[1] is generator.convs[0].conv.modulation.weight
    names = [name for name, _ in generator.named_parameters() if "modulation.weight" in name and "to_rgbs" not in name]
    found = sefa.unscaled_style_weights(generator)
    assert {id(weight) for weight in found} == {id(generator.get_parameter(name)) for name in names}
    with pytest.raises(ReinvertError, match="no layer 6"):
        sefa.style_weights(generator, [6])


def test_sefa_without_scaling_is_the_singular_value_decomposition() -> None:
    weights = [torch.randn(7, 4), torch.randn(3, 4)]
    values, directions = sefa.factorize(weights, normalize=False)
    _, singular, vectors = torch.linalg.svd(torch.cat(weights).double(), full_matrices=False)
    torch.testing.assert_close(values.sqrt(), singular)
    torch.testing.assert_close(directions, with_fixed_sign(vectors))


def test_boundary_is_the_normal_the_scores_rise_along() -> None:
    torch.manual_seed(1)
    codes, normal = torch.randn(4000, 8), unit(torch.randn(1, 8))
    scores = (codes @ normal.t())[:, 0]
    scores[7] = -99.0
    boundary = interfacegan.train_boundary(codes, scores, 0.1, invalid=-99.0)
    assert boundary.accuracy == 1.0
    assert float((boundary.normal * normal).sum()) > 0.97  # 560 samples of the extremes tell a plane to some degrees
    assert boundary.normal.norm().item() == pytest.approx(1.0, abs=1e-6)
    assert interfacegan.train_boundary(codes, scores, 50, split=1.0).accuracy is None
    with pytest.raises(ReinvertError, match="choose more"):
        interfacegan.train_boundary(codes[:10], scores[:10], 0.05)
    with pytest.raises(ReinvertError, match="do not fit"):
        interfacegan.train_boundary(codes, scores[:10])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_conditioned_normal_is_the_projection_on_the_complement(count: int) -> None:
    torch.manual_seed(2)
    primary = unit(torch.randn(1, 9, dtype=torch.float64))
    others = [unit(torch.randn(1, 9, dtype=torch.float64) + 0.5 * primary) for _ in range(count)]
    basis, _ = torch.linalg.qr(torch.cat(others).t())
    expected = unit(primary - primary @ basis @ basis.t())
    # The official denominator has 1e-8 added where there are two conditions.
    torch.testing.assert_close(interfacegan.condition(primary, others), expected, atol=1e-7, rtol=0)


def test_interpolation_places_codes_and_shifts_styles() -> None:
    normal, code, styles = unit(torch.randn(1, 5)), torch.randn(1, 5), torch.randn(1, 3, 5)
    placed = interfacegan.interpolate(code, normal, steps=5)
    torch.testing.assert_close((placed @ normal.t())[:, 0], torch.tensor([-3, -1.5, 0, 1.5, 3]), atol=1e-5, rtol=0)
    shifted = interfacegan.interpolate(styles, normal, -1, 1, steps=3)
    torch.testing.assert_close(shifted[1], styles[0])
    torch.testing.assert_close(shifted[2], styles[0] + normal)
    with pytest.raises(ReinvertError, match="cannot be moved"):
        interfacegan.interpolate(torch.randn(2, 5), normal)


def test_incremental_components_are_exact_when_all_are_kept() -> None:
    torch.manual_seed(3)
    samples = torch.randn(60, 6, dtype=torch.float64) * torch.tensor([6.0, 5, 4, 3, 2, 1]) + 3
    analysis = ganspace.IncrementalPCA(6)
    for chunk in samples.split([25, 10, 25]):
        analysis.add(chunk)
    found = analysis.components()
    values, vectors = np.linalg.eigh(np.cov(samples.numpy().T))
    np.testing.assert_allclose(found.deviations.square(), values[::-1], rtol=1e-10)
    np.testing.assert_allclose(found.ratios, values[::-1] / values.sum(), rtol=1e-10)
    np.testing.assert_allclose(np.abs(found.directions.numpy() @ vectors[:, ::-1]), np.eye(6), atol=1e-9)
    torch.testing.assert_close(found.mean, samples.mean(dim=0))
    exact = ganspace.exact_components(samples, 2)
    torch.testing.assert_close(with_fixed_sign(exact.directions), with_fixed_sign(found.directions[:2]))
    torch.testing.assert_close(ganspace.projected_deviations(samples, found), found.deviations)


def test_component_misuse_is_one_clear_line() -> None:
    analysis = ganspace.IncrementalPCA(3)
    with pytest.raises(ReinvertError, match="no samples"):
        analysis.components()
    with pytest.raises(ReinvertError, match="too small"):
        analysis.add(torch.randn(2, 4))
    analysis.add(torch.randn(5, 4))
    with pytest.raises(ReinvertError, match="had 4"):
        analysis.add(torch.randn(5, 3))


def test_setting_a_component_sets_the_first_rows_coordinate() -> None:
    styles, mean, component = torch.randn(2, 4, 5), torch.randn(5), unit(torch.randn(5))
    edited = ganspace.set_component(styles, mean, component, 1.7, 2.5, slice(0, 2))
    coordinates = (edited[:, 0] - mean) @ component / 1.7
    torch.testing.assert_close(coordinates, torch.full((2,), 2.5))
    torch.testing.assert_close(edited[:, 1] - styles[:, 1], edited[:, 0] - styles[:, 0])
    assert torch.equal(edited[:, 2:], styles[:, 2:])
    added = ganspace.add_component(styles, component, 1.7, 2.0, slice(3, 4))
    torch.testing.assert_close(added[:, 3] - styles[:, 3], (3.4 * component).expand(2, 5))
