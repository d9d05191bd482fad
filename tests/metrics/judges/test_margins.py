"""Margin logits against the papers' equations, written out with angles and loops."""

import math

import pytest
import torch

from metrics.judges import margins


def _angle_reference(cosine: float, margin: float) -> float:
    angle = math.acos(cosine)
    return math.cos(angle + margin) if angle + margin < math.pi else cosine - margin * math.sin(margin)


@pytest.mark.parametrize("margin", [0.0, 0.2, 0.5])
def test_angular_margin_is_the_cosine_of_the_shifted_angle(margin: float) -> None:
    cosines = torch.linspace(-0.999, 0.999, 81, dtype=torch.float64)
    expected = [_angle_reference(float(value), margin) for value in cosines]
    # float64 on both sides; 1e-9 leaves room for acos near its ends.
    torch.testing.assert_close(
        margins.angular_margin(cosines, margin), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9
    )


def test_angular_margin_never_rises_when_the_angle_grows() -> None:
    angles = torch.linspace(0.01, math.pi - 0.01, 500, dtype=torch.float64)
    assert (margins.angular_margin(angles.cos(), 0.5).diff() <= 0).all()


def test_angular_margin_has_finite_gradients_at_the_ends() -> None:
    cosine = torch.tensor([-1.0, 1.0], requires_grad=True)
    margins.angular_margin(cosine, 0.3).sum().backward()
    assert cosine.grad is not None
    assert torch.isfinite(cosine.grad).all()


def test_arcface_changes_the_right_class_only() -> None:
    cosine = torch.rand(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1.8 - 0.9
    target = torch.tensor([0, 8, 3, 3, 1, 5])
    logits = margins.arcface_logits(cosine, target, scale=16.0, margin=0.3)
    for row in range(6):
        for column in range(9):
            value = float(cosine[row, column])
            wanted = 16 * (_angle_reference(value, 0.3) if column == target[row] else value)
            assert float(logits[row, column]) == pytest.approx(wanted, abs=1e-9)


def test_curricularface_follows_equation_10() -> None:
    cosine = torch.rand(7, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.8 - 0.9
    target = torch.tensor([0, 10, 4, 4, 2, 7, 9])
    difficulty = torch.tensor(0.3, dtype=torch.float64)
    logits = margins.curricular_logits(cosine, target, difficulty, scale=16.0, margin=0.4)
    hard_seen = easy_seen = 0
    for row in range(7):
        right = _angle_reference(float(cosine[row, target[row]]), 0.4)
        for column in range(11):
            value = float(cosine[row, column])
            if column == target[row]:
                wanted = right
            elif right - value >= 0:  # equation 5, easy
                wanted, easy_seen = value, easy_seen + 1
            else:
                wanted, hard_seen = (0.3 + value) * value, hard_seen + 1
            assert float(logits[row, column]) == pytest.approx(16 * wanted, abs=1e-9)
    assert hard_seen > 5
    assert easy_seen > 5


def test_difficulty_is_a_moving_average_of_the_right_cosines() -> None:
    cosine = torch.tensor([[0.5, 0.9], [0.1, 0.7]], requires_grad=True)
    result = margins.next_difficulty(torch.tensor(0.2), cosine, torch.tensor([0, 1]), momentum=0.9)
    assert float(result) == pytest.approx(0.9 * 0.2 + 0.1 * 0.6)
    assert not result.requires_grad
