"""The nave: a gabled front, the side that is seen of it, its roof, and a porch before the door."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, inside, scale, smoothstep
from pipelines.domains.churches.church import Church, facet, masonry, shaded, tiles
from pipelines.domains.churches.openings import paint_window
from pipelines.domains.churches.scene import LABELS

WALL, ROOF = LABELS.index("wall"), LABELS.index("roof")

_OVERHANG = 0.045
_FORESHORTENING = 0.10  # how much lower the far end of the side is than the near one


def _far(church: Church, height: Tensor) -> Tensor:
    """v at the far end of the side of what is at `height` at the near end, by perspective."""
    return height - _FORESHORTENING * church.depth * (height - 0.10)


def paint_side(canvas: Canvas, church: Church) -> None:
    """The side wall with its row of windows, and the slope of the roof above it."""
    s, u, v, pixel = church.scene, church.u, church.v, church.pixel
    width, length, eave, ridge = church.width, church.length, church.eave, church.ridge
    seen = smoothstep(0.0, 0.06, length)  # no sliver where only the front is seen
    far_eave, foot = _far(church, eave), _far(church, 0 * eave)
    wall = facet(church, [(width, 0.0), (width + length, foot), (width + length, far_eave), (width, eave)])
    light = church.side_light * (1 - 0.22 * smoothstep(0.10, 0.0, eave - 0.02 - v))  # shade of the eaves
    canvas.paint(inside(wall, pixel) * seen, shaded(church.wall, light, masonry(church, u)), WALL)

    # One window to a bay: the same shape repeats along the wall.
    bay = length / s["bay_count"]
    along = ((u - width) / bay.clamp(min=1e-3)).clamp(0, 1e3)
    nearest = (along - along.floor() - 0.5) * bay
    half = (0.17 * bay).clamp(0.004, 0.048)
    gate = ((u > width) & (u < width + length)).float() * smoothstep(0.05, 0.09, bay)
    paint_window(canvas, church, nearest, half, eave * 0.34, eave * 0.26 * s["window_height"], gate, church.side_light)

    # The slope, from the ridge (over the middle of the front) to eaves that stand out a little.
    drop = _OVERHANG * s["gable"] / width
    slope = facet(
        church,
        [
            (width + _OVERHANG, eave - drop),
            (width + length + _OVERHANG * 0.6, far_eave - drop),
            (length, _far(church, ridge)),
            (0.0 * width, ridge),
        ],
    )
    canvas.paint(inside(slope, pixel) * seen, shaded(church.roof, 0.82 + 0.28 * church.light_u, tiles(v - eave)), ROOF)


def _gable_line(church: Church, half: Tensor, eave: Tensor, rise: Tensor) -> Tensor:
    """v of a gable's edge above each u."""
    return eave + rise * (1 - church.u.abs() / half)


def paint_front(canvas: Canvas, church: Church) -> None:
    """The front wall and the edge of the roof above it."""
    s, pixel = church.scene, church.pixel
    width, zero = church.width, 0.0 * church.width
    corners = [(-width, zero), (width, zero), (width, church.eave), (zero, church.ridge), (-width, church.eave)]
    # Light that grazes the wall from one side.
    graze = church.front_light * (1 + 0.10 * church.light_u * church.u / width)
    texture = masonry(church, church.side * church.u) * (1 - 0.10 * smoothstep(0.06, 0.0, church.v))
    canvas.paint(inside(facet(church, corners), pixel), shaded(church.wall, graze, texture), WALL)
    _paint_verge(canvas, church, width, church.eave, s["gable"], 0.040, torch.ones_like(width))


def _paint_verge(
    canvas: Canvas, church: Church, half: Tensor, eave: Tensor, rise: Tensor, thickness: float, gate: Tensor
) -> None:
    """The edge of a roof, seen from the front as a band over the gable."""
    steep = torch.rsqrt(1 + (rise / half).square())
    above = (church.v - _gable_line(church, half, eave, rise)) * steep
    band = torch.minimum(thickness - (above - 0.012).abs(), half + _OVERHANG - church.u.abs())
    lit = 0.92 + 0.20 * church.light_u * torch.tanh(church.u / 0.03)
    canvas.paint(inside(band, church.pixel) * gate, scale(church.roof, lit), ROOF)


def paint_porch(canvas: Canvas, church: Church) -> None:
    """A small gabled porch around the door."""
    s = church.scene
    half, eave = s["door_width"] * 1.75, s["door_height"] * 1.25
    rise, zero = half * 0.95, 0.0 * half
    corners = [(-half, zero), (half, zero), (half, eave), (zero, eave + rise), (-half, eave)]
    wall = shaded(church.wall, 1.0, masonry(church, church.side * church.u))
    canvas.paint(inside(facet(church, corners), church.pixel) * s["has_porch"], wall, WALL)
    _paint_verge(canvas, church, half, eave, rise, 0.026, s["has_porch"])


def paint_scaffolding(canvas: Canvas, church: Church) -> None:
    """Poles and planks before the front, as high as the ridge; they keep the labels of what they stand before."""
    s, u, v = church.scene, church.u, church.v
    extent = torch.minimum(church.width + 0.12 - u.abs(), torch.minimum(v, church.ridge + 0.05 - v))
    poles = 0.016 - ((u / 0.20 + 0.5) % 1 - 0.5).abs() * 0.20
    planks = 0.020 - ((v / 0.19 + 0.35) % 1 - 0.5).abs() * 0.19
    mask = inside(torch.minimum(extent, torch.maximum(poles, planks)), church.pixel)
    canvas.paint(mask * s["scaffolding"], church.lit((0.80, 0.62, 0.30)))
