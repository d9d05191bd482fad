"""Towers: a box with belfry windows under a pyramid, a spire, a dome or battlements, and what stands on top."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, hsv, inside, scale, smoothstep
from pipelines.domains.churches.church import Church, facet, masonry, shaded, tiles
from pipelines.domains.churches.openings import paint_window
from pipelines.domains.churches.scene import LABELS, TOWER_ROOFS

WALL, ROOF = LABELS.index("wall"), LABELS.index("roof")


def _tower_top(church: Church, central: bool) -> Tensor:
    """v of the top of a tower's walls; a central one stands on the ridge and has to clear it."""
    rise = church.scene["tower_rise"]
    return church.ridge + 0.11 + 0.15 * rise if central else church.eave + 0.26 + 0.28 * rise


def _roof_height(church: Church) -> Tensor:
    """Height of a tower's roof by its kind."""
    s = church.scene
    half, height, kind = s["tower_width"], s["tower_roof_height"], s["tower_roof_kind"]
    heights = (half * (1.3 + 0.9 * height), half * (3.0 + 1.2 * height), half * (1.35 + 0.5 * height), 0 * half)
    chosen = [torch.where(kind == k, value, 0.0) for k, value in enumerate(heights)]
    return torch.stack(chosen).sum(0)


def _paint_walls(
    canvas: Canvas, church: Church, centre: Tensor, half: Tensor, deep: Tensor, foot: Tensor, top: Tensor, gate: Tensor
) -> None:
    u, v, pixel = church.u, church.v, church.pixel
    near, far = centre + half, centre + half + deep
    side = facet(church, [(near, foot), (far, foot), (far, top), (near, top)])
    seen = gate * smoothstep(0.0, 0.03, deep)
    canvas.paint(inside(side, pixel) * seen, shaded(church.wall, church.side_light * 0.98, masonry(church, u)), WALL)
    front = facet(church, [(centre - half, foot), (near, foot), (near, top), (centre - half, top)])
    light = church.front_light * (1.02 + 0.10 * church.light_u * (u - centre) / half)
    canvas.paint(
        inside(front, pixel) * gate, shaded(church.wall, light, masonry(church, church.side * (u - centre))), WALL
    )
    # A cornice closes the walls.
    middle = centre + 0.5 * deep
    cornice = torch.minimum(half + 0.5 * deep + 0.018 - (u - middle).abs(), 0.018 - (v - top).abs())
    canvas.paint(inside(cornice, pixel) * gate, scale(church.trim, 0.88), WALL)


def _paint_battlements(
    canvas: Canvas, church: Church, middle: Tensor, reach: Tensor, top: Tensor, gate: Tensor
) -> None:
    """Merlons on a flat roof, four across whatever the width."""
    u, v = church.u, church.v
    period = 2 * reach / 3.5
    merlon = 0.25 * period - (((u - middle) / period + 0.5) % 1 - 0.5).abs() * period
    height = torch.minimum(0.075 - (v - top), v - top)
    mask = torch.minimum(torch.minimum(merlon, reach - (u - middle).abs()), height)
    flat = gate * (church.scene["tower_roof_kind"] == TOWER_ROOFS.index("flat"))
    # The strip of roof that shows between them.
    strip = torch.minimum(reach - (u - middle).abs(), torch.minimum(0.034 - (v - top), v - top))
    canvas.paint(inside(strip, church.pixel) * flat, scale(church.tower_roof, 0.85), ROOF)
    canvas.paint(inside(mask, church.pixel) * flat, scale(church.wall, 0.95), WALL)


def _paint_roof(
    canvas: Canvas, church: Church, centre: Tensor, half: Tensor, deep: Tensor, top: Tensor, height: Tensor,
    gate: Tensor,
) -> None:  # fmt: skip
    """A pyramid or spire of two faces, or a dome."""
    s, u, v, pixel = church.scene, church.u, church.v, church.pixel
    kind = s["tower_roof_kind"]
    middle, eaves = centre + 0.5 * deep, 0.022
    left, near, far = centre - half - eaves, centre + half + eaves * 0.3, centre + half + deep + eaves
    apex = (middle, top + height)
    steep = gate * (kind <= TOWER_ROOFS.index("spire"))
    rows = tiles(v - top)
    side = facet(church, [(near, top), (far, top), apex])
    canvas.paint(
        inside(side, pixel) * steep * smoothstep(0.0, 0.03, deep),
        shaded(church.tower_roof, 0.80 + 0.34 * church.light_u, rows), ROOF,
    )  # fmt: skip
    front = facet(church, [(left, top), (near, top), apex])
    lit = 1.0 + 0.16 * church.light_u * (u - centre) / half
    canvas.paint(inside(front, pixel) * steep, shaded(church.tower_roof, lit, rows), ROOF)

    # A dome that swells a little above its foot, and is lit as a ball is.
    reach = half + 0.5 * deep
    t = ((v - top) / height.clamp(min=0.05)).clamp(0, 1)
    profile = torch.sqrt((1 - t.pow(2.2)).clamp(min=1e-4)) * (1 + 0.16 * torch.sin(t * torch.pi))
    across = (u - middle) / reach
    dome = torch.minimum(reach * profile - (u - middle).abs(), torch.minimum(v - top, top + height - v))
    ball = 0.98 - 0.32 * across.square() + 0.34 * church.light_u * across + 0.10 * t
    round_ = gate * (kind == TOWER_ROOFS.index("dome"))
    canvas.paint(inside(dome, pixel) * round_, shaded(church.tower_roof, ball), ROOF)


def paint_cross(canvas: Canvas, church: Church, middle: Tensor, foot: Tensor, gate: Tensor) -> None:
    """A cross, with its foot at v `foot`."""
    u, v = (church.u - middle).abs(), church.v - foot
    upright = torch.minimum(0.013 - u, torch.minimum(v + 0.01, 0.125 - v))
    arm = torch.minimum(0.043 - u, 0.013 - (v - 0.082).abs())
    color = church.lit((0.90, 0.76, 0.36))
    canvas.paint(inside(torch.maximum(upright, arm), church.pixel) * gate, color, ROOF)


def paint_flag(canvas: Canvas, church: Church, middle: Tensor, foot: Tensor, gate: Tensor) -> None:
    """A pole with a pennant as wide as a tower, which flies to the right."""
    x, v = (church.u - middle) * church.side, church.v - foot
    pole = torch.minimum(0.014 - x.abs(), torch.minimum(v + 0.02, 0.26 - v))
    canvas.paint(inside(pole, church.pixel) * gate, church.lit((0.85, 0.85, 0.85)), ROOF)
    wave = v - 0.19 - 0.014 * torch.sin(x * 22)
    cloth = torch.minimum(0.068 * (1 - 0.45 * x / 0.26) - wave.abs(), torch.minimum(x - 0.014, 0.26 - x))
    hue = church.scene["flag_hue"]
    color = church.lit(hsv(hue, 0 * hue + 0.85, 0 * hue + 0.92))
    canvas.paint(inside(cloth, church.pixel) * gate, color, ROOF)


def paint_tower(canvas: Canvas, church: Church, position: str) -> None:
    """One tower with all that belongs to it, where the scene has it.

    Args:
        position: "left" or "right", at that corner of the front; or "central", on the ridge.
    """
    s, u = church.scene, church.u
    central = position == "central"
    gate, half = s[f"tower_{position}"], s["tower_width"]
    deep = 0.95 * half * church.depth
    top, height = _tower_top(church, central), _roof_height(church)
    if central:
        centre, foot = 0.30 * church.length - 0.5 * deep, church.eave
    else:
        towards = church.side if position == "right" else -church.side
        centre, foot = towards * (church.width + 0.25 * half), 0.0 * half
    _paint_walls(canvas, church, centre, half, deep, foot, top, gate)
    width, tall = 0.044 * s["window_width"], 0.075 * s["window_height"]
    paint_window(canvas, church, u - centre, width, top - 0.185, tall, gate)
    if not central:
        paint_window(canvas, church, u - centre, width * 0.85, church.eave * 0.42, tall * 0.85, gate)
    middle = centre + 0.5 * deep
    _paint_roof(canvas, church, centre, half, deep, top, height, gate)
    _paint_battlements(canvas, church, middle, half + 0.5 * deep + 0.02, top + 0.012, gate)
    pitched = s["tower_roof_kind"] != TOWER_ROOFS.index("flat")
    paint_cross(canvas, church, middle, top + height, gate * pitched * (1 - s["flag"]))
    paint_flag(canvas, church, middle, top + height, gate * s["flag"])
