"""Windows and doors: arches from round to pointed, roses, and panes that glow when lamps are lit."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, blend, hsv, inside, palette, scale
from pipelines.domains.churches.church import Church
from pipelines.domains.churches.scene import LABELS

OPENING = LABELS.index("opening")
DOORS = ((0.30, 0.17, 0.09), (0.46, 0.25, 0.12), (0.42, 0.10, 0.09), (0.12, 0.27, 0.22), (0.15, 0.20, 0.34))


def pane(church: Church) -> list[Tensor]:
    """Colour of glass: dark by day, lamp light in the evening."""
    s = church.scene
    dark = church.lit(hsv(0.55 + 0.12 * s["glass"], torch.full_like(s["glass"], 0.45), 0.20 + 0.10 * s["glass"]))
    lamp = [1.0 + 0 * s["glass"], 0.72 + 0.14 * s["glass"], 0.28 + 0.22 * s["glass"]]
    return [a + church.light.glow * (b - a) for a, b in zip(dark, lamp, strict=True)]


def arched(
    across: Tensor, up: Tensor, half: Tensor | float, bottom: Tensor | float, spring: Tensor | float, pointed: Tensor
) -> Tensor:
    """Signed distance, positive inside, to an upright opening closed by an arch.

    Args:
        across, up: (B, R, R) coordinates, `across` from the middle of the opening.
        half: half width. bottom, spring: heights of the sill and of the foot of the arch.
        pointed: 0 a half circle, 1 a pointed arch half as high again.
    """
    reach = (across.abs() / half).clamp(max=1)
    rise = half * ((1 - pointed) * torch.sqrt((1 - reach.square()).clamp(min=1e-4)) + pointed * 1.5 * (1 - reach))
    return torch.minimum(torch.minimum(half - across.abs(), up - bottom), spring + rise - up)


def paint_window(
    canvas: Canvas,
    church: Church,
    across: Tensor,
    half: Tensor | float,
    bottom: Tensor | float,
    height: Tensor | float,
    gate: Tensor | float = 1.0,
    light: Tensor | float = 1.0,
) -> None:
    """An arched window with a frame.

    Args:
        across: (B, R, R) distance from its middle. half: half width of the pane.
        bottom: v of the sill. height: from the sill to the foot of the arch.
        gate: coverage to multiply with. light: brightness of the wall it is in.
    """
    distance = arched(across, church.v, half, bottom, bottom + height, church.scene["arch"])
    canvas.paint(inside(distance + 0.024, church.pixel) * gate, scale(church.trim, 0.92 * light))
    # Panes are lighter towards the sill, as glass that mirrors the sky's rim or a lamp below.
    fall = 1.12 - 0.30 * ((church.v - bottom) / (height + half)).clamp(0, 1)
    canvas.paint(inside(distance, church.pixel) * gate, scale(pane(church), fall), OPENING)


def paint_rose(canvas: Canvas, church: Church, centre: Tensor, radius: float, gate: Tensor) -> None:
    """A round window with a bright hub, v of its centre given."""
    r = torch.sqrt(church.u.square() + (church.v - centre).square() + 1e-6)
    canvas.paint(inside(radius + 0.028 - r, church.pixel) * gate, scale(church.trim, 0.95))
    canvas.paint(inside(radius - r, church.pixel) * gate, pane(church), OPENING)
    canvas.paint(inside(radius * 0.30 - r, church.pixel) * gate, scale(church.trim, 0.80))


def paint_front_windows(canvas: Canvas, church: Church) -> None:
    """On the front: a rose, or one, two or three arched windows."""
    s, u = church.scene, church.u
    kind, eave = s["front_window_kind"], church.eave
    width, height = 0.046 * s["window_width"], 0.13 * s["window_height"]
    rose, single, pair, triple = ((kind == k).float() for k in range(4))
    paint_rose(canvas, church, eave + 0.045, 0.085, rose)
    paint_window(canvas, church, u, width * 1.25, eave - 0.06, height * 1.15, single + triple)
    # Mirrored: one shape paints both.
    offset = church.width * 0.46 * pair + church.width * 0.52 * triple + rose
    paint_window(canvas, church, u.abs() - offset, width, eave - 0.13, height, pair + triple)


def paint_door(canvas: Canvas, church: Church) -> None:
    """The door in the middle of the front, two leaves under an arch, on a step."""
    s, u = church.scene, church.u
    half = s["door_width"]
    distance = arched(u, church.v, half, 0.0 * half, s["door_height"], s["arch"])
    canvas.paint(inside(distance + 0.034, church.pixel) * (church.v > 0), scale(church.trim, 0.95))
    wood = blend(church.lit(palette(DOORS, s["door_tone"])), [0.95, 0.60, 0.25], 0.18 * church.light.glow)
    leaf = 1 - 0.45 * torch.exp(-(u / 0.014).square())
    canvas.paint(inside(distance, church.pixel), scale(wood, leaf), OPENING)
    step = torch.minimum(half * 1.7 - u.abs(), 0.012 - (church.v + 0.006).abs())
    canvas.paint(inside(step, church.pixel), scale(church.trim, 0.85))
