"""An inverter and judges of a few parameters, in a module of their own because worker processes import them."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.config import Config
from methods.code import Code
from methods.inverter import Step
from metrics.judges.perceptual import AlexNetFeatures
from metrics.panel import Panel

SIZE = 64
LOG = "EVALUATION_FAKES_LOG"
"""Environment variable: a file to which every inversion of more than one image adds a line."""


class Blurring:
    """Keeps a coarse copy of the image, finer at every step; the code is that copy."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.sides = list(arguments.get("sides", [4, 8, 16]))
        self.interrupt_from = arguments.get("interrupt_from")
        self.nan_below = arguments.get("nan_below")
        self.overflow = arguments.get("overflow", False)
        self.calls = 0

    def invert(self, images: Tensor, seed: int) -> Iterator[Step]:
        if len(images) > 1 and LOG in os.environ:
            with open(os.environ[LOG], "a") as log:
                log.write(f"{len(images)} threads={torch.get_num_threads()}\n")
        if self.overflow:
            raise FloatingPointError("the step size overflowed")
        self.calls += 1
        if self.interrupt_from is not None and self.calls > self.interrupt_from:
            raise KeyboardInterrupt
        for number, side in enumerate(self.sides):
            code = nn.functional.adaptive_avg_pool2d(images, side).flatten(2)
            if self.nan_below is not None:
                dark = images.mean(dim=(1, 2, 3)) < self.nan_below
                code = torch.where(dark[:, None, None], float("nan"), code)
            yield Step(10 * number, Code(code))

    def draw(self, code: Code) -> Tensor:
        side = round(code.styles.shape[2] ** 0.5)
        return nn.functional.interpolate(code.styles.unflatten(2, (side, side)), size=SIZE, mode="bilinear")

    def parameter_count(self) -> int:
        return 7


def build_inverter(name: str, config: Config, domain: str, weights_root: Path, device: torch.device) -> Any:
    return Blurring(config.methods[name].arguments)


def load_panel(domain: str, weights_root: Path, device: torch.device) -> Panel:
    return _panel()


@functools.cache
def _panel() -> Panel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        embedding = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(192, 6)).eval()
        networks = {"perceptual": AlexNetFeatures().eval(), "identity-judge": embedding, "features": embedding}
    return Panel.of(networks)


def load_panel_without_identities(domain: str, weights_root: Path, device: torch.device) -> Panel:
    """That of a domain that shows no persons."""
    whole = _panel()
    return Panel({name: scorer for name, scorer in whole.scorers.items() if name != "id"}, whole.feature_network)
