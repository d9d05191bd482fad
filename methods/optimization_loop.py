"""The one optimisation loop: Adam on whatever belongs to the images, every image on its own.

The objective is the sum over images of their own losses and Adam keeps its statistics per number, so no image's path
depends on its neighbours: a batch gives what one image at a time gives, to rounding.

The last step is the answer. No step is picked by a score, because a score that picks is no longer a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Schedule = Callable[[float], float]
"""Progress in [0, 1) -> factor on the learning rate."""


def ramps(rampup: float, rampdown: float) -> Schedule:
    """Linear start and cosine end, as the StyleGAN2 projector has them (Karras et al. 2020, Appendix D).

    Args:
        rampup: fraction of the steps over which the rate rises from 0 (projector: 0.05); 0 for none.
        rampdown: fraction over which it falls to 0 (projector: 0.25); 0 for none.
    """

    def factor(progress: float) -> float:
        down = min(1.0, (1 - progress) / rampdown) if rampdown > 0 else 1.0
        up = min(1.0, progress / rampup) if rampup > 0 else 1.0
        return (0.5 - 0.5 * math.cos(math.pi * down)) * up

    return factor


def step_decay(every: float, factor: float) -> Schedule:
    """Multiply the rate by `factor` after each further fraction `every` of the steps."""
    return lambda progress: factor ** math.floor(progress / every)


def optimize(
    parameters: list[Tensor],
    losses: Callable[[int], Tensor | None],
    *,
    steps: int,
    learning_rate: float,
    schedule: Schedule,
    yield_every: int,
    betas: tuple[float, float] = (0.9, 0.999),
    going_on: Callable[[], Tensor | None] | None = None,
) -> Iterator[int]:
    """Minimise each image's own loss, pausing on the way.

    Args:
        parameters: leaf tensors, changed in place; each belongs to single images (the image first) or it would tie
            images together. Shorter ones take their places in the list when images leave.
        losses: step (0-based) -> (B,) differentiable losses, one per image; None ends the search before this update.
        steps: updates in all.
        learning_rate: of Adam, before `schedule`.
        schedule: factor on the rate by progress, step / steps.
        yield_every: updates between pauses.
        betas: of Adam.
        going_on: asked after every update for the rows of the images whose search goes on, None for all; the others
            leave, and so do their statistics. `losses` gives no loss for those that it ends.

    Yields:
        The number of updates done: 0 (the start), every `yield_every`, and the last.
    """
    optimizer = torch.optim.Adam(parameters, lr=learning_rate, betas=betas)
    yield 0
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * schedule(step / steps)
        optimizer.zero_grad(set_to_none=True)
        # Gradients are on for the update only, never while the caller holds the yielded step.
        with torch.enable_grad():
            loss = losses(step)
            if loss is None:
                if step % yield_every:  # else it was yielded already
                    yield step
                return
            loss.sum().backward()
        optimizer.step()
        if going_on is not None and (rows := going_on()) is not None:
            _keep(rows, parameters, optimizer)
        if (step + 1) % yield_every == 0 or step + 1 == steps:
            yield step + 1


def _keep(rows: Tensor, parameters: list[Tensor], optimizer: torch.optim.Optimizer) -> None:
    # New leaves: autograd remembers the shape of those that a graph is still held of.
    for index, old in enumerate(parameters):
        statistics = optimizer.state.pop(old)
        parameters[index] = new = old.detach()[rows].requires_grad_(True)
        optimizer.state[new] = {
            name: value[rows] if isinstance(value, Tensor) and value.ndim else value
            for name, value in statistics.items()
        }
    optimizer.param_groups[0]["params"] = list(parameters)
