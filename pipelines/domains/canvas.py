"""A soft-edged painter on tensors, shared by the renderers: layers are laid over each other, back to front."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

# (scene, x, y) -> RGB in [0, 1] and label indices, at the supersampled size.
Painter = Callable[[dict[str, Tensor], Tensor, Tensor], tuple[Tensor, Tensor]]
Color = Sequence[Tensor | float]  # red, green, blue in [0, 1], each broadcastable to (B, R, R)


def smoothstep(low: Tensor | float, high: Tensor | float, value: Tensor) -> Tensor:
    """0 below `low`, 1 above `high`, a cubic in between; `low` > `high` runs the other way."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def inside(distance: Tensor, softness: Tensor | float) -> Tensor:
    """Coverage in [0, 1] of a shape from a signed distance (positive inside), antialiased over `softness`."""
    return (distance / softness + 0.5).clamp(0, 1)


def blend(color: Color, other: Color, amount: Tensor | float) -> list[Tensor | float]:
    """color + amount * (other - color), per channel."""
    return [a + amount * (b - a) for a, b in zip(color, other, strict=True)]


def scale(color: Color, factor: Tensor | float) -> list[Tensor | float]:
    """color * factor, per channel."""
    return [channel * factor for channel in color]


def palette(anchors: Sequence[tuple[float, float, float]], t: Tensor) -> list[Tensor]:
    """Piecewise-linear colour through equally spaced anchors, t in [0, 1] of any shape."""
    table = torch.tensor(anchors, dtype=t.dtype, device=t.device)
    position = t.clamp(0, 1) * (len(anchors) - 1)
    # Hat functions instead of indexing: continuous, and friendly to compilation.
    knots = torch.arange(len(anchors), dtype=t.dtype, device=t.device).view(-1, *([1] * t.ndim))
    weights = (1 - (position[None] - knots).abs()).clamp(min=0)
    return [(weights * table[:, c].view(-1, *([1] * t.ndim))).sum(0) for c in range(3)]


def hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> list[Tensor]:
    """RGB from hue, saturation and value in [0, 1]."""
    channels = []
    for offset in (5.0, 3.0, 1.0):
        k = (hue * 6 + offset) % 6
        channels.append(value * (1 - saturation * torch.minimum(k, 4 - k).clamp(0, 1)))
    return channels


class Canvas:
    """RGB in [0, 1] and a label map, painted back to front."""

    def __init__(self, background: Color, like: Tensor):
        """`like` is any (B, R, R) tensor that gives shape, type and device."""
        self.rgb = [torch.zeros_like(like) + channel for channel in background]
        self.labels = torch.zeros_like(like)

    def paint(self, mask: Tensor, color: Color, label: int | None = None) -> None:
        """Lay `color` over the picture where `mask` (coverage in [0, 1]); pixels over half covered take `label`."""
        self.rgb = [below + mask * (above - below) for below, above in zip(self.rgb, color, strict=True)]
        if label is not None:
            self.labels = torch.where(mask > 0.5, float(label), self.labels)


def reduce_labels(labels: Tensor, factor: int, classes: int) -> Tensor:
    """(B, fR, fR) label indices to (B, R, R): the commonest of each block, the rarer (later) class on a tie."""
    counts = functional.one_hot(labels.long(), classes).permute(0, 3, 1, 2).float()
    counts = functional.avg_pool2d(counts, factor)
    order = torch.arange(classes, device=labels.device).view(1, -1, 1, 1) * 1e-3
    return (counts + order).argmax(1).to(torch.uint8)


@torch.no_grad()
def rasterize(
    scene: dict[str, Tensor], painter: Painter, resolution: int, supersampling: int, classes: int
) -> tuple[Tensor, Tensor]:
    """Paint scenes at `supersampling` times the size and reduce, in the precision of the scene's numbers.

    Args:
        scene: parameters as (B,) tensors of one type on any device.
        painter: what paints them, from pixel centres x (1, 1, R) and y (1, R, 1) in [-1, 1], y up.
        resolution: side of the picture in pixels.
        classes: number of labels.

    Returns:
        images (B, 3, resolution, resolution) float32 in [-1, 1]; labels (B, resolution, resolution) uint8.
    """
    side = resolution * supersampling
    like = next(iter(scene.values()))
    centres = (torch.arange(side, device=like.device, dtype=like.dtype) + 0.5) / side * 2 - 1
    rgb, labels = painter(scene, centres.view(1, 1, side), -centres.view(1, side, 1))
    image = functional.avg_pool2d(rgb, supersampling) * 2 - 1
    return image.float(), reduce_labels(labels, supersampling, classes)
