"""From a scene to pixels and labels, antialiased by supersampling."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, Painter, rasterize
from pipelines.domains.faces import body, features, hair
from pipelines.domains.faces.head import place_head
from pipelines.domains.faces.scene import LABELS, Scene

RESOLUTION = 64
SUPERSAMPLING = 2


def paint(scene: Scene, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Paint one picture per scene, back to front.

    Args:
        scene: (B,) parameters.
        x: (1, 1, R) and y: (1, R, 1) pixel centres in [-1, 1], y up.

    Returns:
        (B, 3, R, R) RGB in [0, 1] and (B, R, R) float label indices.
    """
    head = place_head(scene, x, y)
    canvas = Canvas(body.background(head.scene, head.x, head.y), head.x)
    hair.paint_back_hair(canvas, head)
    body.paint_neck_and_clothing(canvas, head)
    body.paint_ears(canvas, head)
    brightness = features.paint_skin(canvas, head)
    features.paint_beard(canvas, head, brightness)
    features.paint_mouth(canvas, head, brightness)
    features.paint_eyes(canvas, head)
    features.paint_brows(canvas, head)
    features.paint_nose(canvas, head)
    hair.paint_front_hair(canvas, head)
    features.paint_glasses(canvas, head)
    hair.paint_hat(canvas, head)
    return torch.stack(canvas.rgb, 1).clamp(0, 1), canvas.labels


def render(scene: Scene, resolution: int = RESOLUTION, painter: Painter = paint) -> tuple[Tensor, Tensor]:
    """Draw scenes.

    Args:
        scene: (B,) parameters on any device.
        resolution: side of the picture in pixels.
        painter: `paint`, or a compiled version of it.

    Returns:
        images (B, 3, resolution, resolution) float32 in [-1, 1]; labels (B, resolution, resolution) uint8.
    """
    return rasterize(scene, painter, resolution, SUPERSAMPLING, len(LABELS))
