import math

import pytest
import torch
from torch import Tensor

from methods.optimization_loop import optimize, ramps, step_decay


def adam(start: float, target: float, rate: float, steps: int) -> list[float]:
    """Kingma & Ba 2015, Algorithm 1, on (x - target)^2, written out."""
    x, m, v, path = start, 0.0, 0.0, [start]
    for t in range(1, steps + 1):
        gradient = 2 * (x - target)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        x -= rate * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
        path.append(x)
    return path


def test_path_is_adams() -> None:
    x = torch.tensor([5.0, -3.0], dtype=torch.float64, requires_grad=True)
    target = torch.tensor([1.0, 2.0], dtype=torch.float64)
    found = [x.detach().clone()]
    loop = optimize(
        [x], lambda _: (x - target) ** 2, steps=20, learning_rate=0.3, schedule=lambda _: 1.0, yield_every=1
    )
    found = [x.detach().clone() for _ in loop]
    for image in range(2):
        expected = adam([5.0, -3.0][image], [1.0, 2.0][image], 0.3, 20)
        # Same formula in float64: only the order of a few operations differs.
        assert [float(f[image]) for f in found] == pytest.approx(expected, abs=1e-12)


def test_yields_start_every_k_and_last() -> None:
    x = torch.zeros(1, requires_grad=True)
    loop = optimize([x], lambda _: (x - 1) ** 2, steps=7, learning_rate=0.1, schedule=lambda _: 1.0, yield_every=3)
    assert list(loop) == [0, 3, 6, 7]


def test_gradients_stay_off_for_the_caller() -> None:
    x = torch.zeros(1, requires_grad=True)
    with torch.no_grad():
        for _ in optimize(
            [x], lambda _: (x - 1) ** 2, steps=2, learning_rate=0.1, schedule=lambda _: 1.0, yield_every=1
        ):
            assert not torch.is_grad_enabled()
    assert float(x.detach()) > 0


def test_ramps_are_the_projectors() -> None:
    factor = ramps(rampup=0.05, rampdown=0.25)
    assert factor(0.0) == 0.0
    assert factor(0.025) == pytest.approx(0.5)  # half of the rise
    assert factor(0.5) == 1.0
    assert factor(0.875) == pytest.approx(0.5)  # half of the cosine fall
    assert factor(1.0) == pytest.approx(0.0, abs=1e-15)
    assert ramps(0, 0)(0.0) == ramps(0, 0)(0.99) == 1.0


def test_step_decay() -> None:
    factor = step_decay(every=0.25, factor=0.1)
    assert [factor(p) for p in (0.0, 0.24, 0.25, 0.8)] == pytest.approx([1, 1, 0.1, 0.001])


def test_an_image_leaves_with_its_statistics_and_the_others_do_not_notice() -> None:
    """Three numbers go to 1; the second leaves after two updates. The others end where they end without it."""

    def search(start: list[float], leaves: bool) -> list[float]:
        parameters = [
            torch.tensor(start)[:, None].requires_grad_(True),
            torch.zeros(len(start), 2).requires_grad_(True),
        ]
        done = 0

        def losses(step: int) -> Tensor:
            nonlocal done
            done = step + 1
            return ((parameters[0] - 1).square() + parameters[1].square()).sum(1)

        def going_on() -> Tensor | None:
            return torch.tensor([0, 2]) if leaves and done == 2 else None

        for _ in optimize(parameters, losses, steps=9, learning_rate=0.1, schedule=lambda _: 1.0, yield_every=9,
                          going_on=going_on):  # fmt: skip
            pass
        return [float(value) for value in parameters[0].detach().flatten()]

    assert search([0.0, 5.0, -3.0], True) == search([0.0, -3.0], False)
