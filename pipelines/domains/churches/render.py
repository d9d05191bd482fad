"""From a scene to pixels and labels, antialiased by supersampling."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, Painter, rasterize
from pipelines.domains.churches import nave, openings, surroundings
from pipelines.domains.churches.church import place_church
from pipelines.domains.churches.scene import LABELS, Scene
from pipelines.domains.churches.tower import paint_cross, paint_flag, paint_tower

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
    church = place_church(scene, x, y)
    s = church.scene
    canvas = Canvas(surroundings.sky(church), church.x)
    surroundings.paint_clouds(canvas, church)
    surroundings.paint_land(canvas, church)
    surroundings.paint_trees(canvas, church, before=False)
    nave.paint_side(canvas, church)
    paint_tower(canvas, church, "central")
    nave.paint_front(canvas, church)
    bare = s["tower_count"] == 0
    paint_cross(canvas, church, 0 * church.width, church.ridge, bare * (1 - s["flag"]))
    paint_flag(canvas, church, 0 * church.width, church.ridge, bare * s["flag"])
    openings.paint_front_windows(canvas, church)
    nave.paint_porch(canvas, church)
    openings.paint_door(canvas, church)
    paint_tower(canvas, church, "left")
    paint_tower(canvas, church, "right")
    nave.paint_scaffolding(canvas, church)
    surroundings.paint_trees(canvas, church, before=True)
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
