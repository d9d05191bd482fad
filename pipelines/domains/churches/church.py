"""Where the church stands and how it is lit: the frame all parts of the picture share.

The building is seen in a simple oblique view. Its front faces the viewer; of its side, more or less is seen to the
right or left. Building coordinates: u across, measured from the middle of the front and growing towards the side that
is seen; v up from the foot of the front. Every flat part is a convex polygon in (u, v).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.domains.canvas import blend, palette, scale, smoothstep
from pipelines.domains.churches.scene import MATERIALS, Scene

Corner = tuple[Tensor | float, Tensor | float]

WALLS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "stone": ((0.50, 0.49, 0.47), (0.64, 0.61, 0.55), (0.78, 0.71, 0.57)),
    "brick": ((0.50, 0.24, 0.17), (0.66, 0.34, 0.22), (0.76, 0.47, 0.30)),
    "plaster": ((0.95, 0.94, 0.90), (0.94, 0.86, 0.66), (0.91, 0.74, 0.64)),
    "wood": ((0.50, 0.34, 0.21), (0.66, 0.48, 0.30), (0.62, 0.19, 0.14)),
}
ROOFS = ((0.30, 0.34, 0.42), (0.40, 0.29, 0.23), (0.60, 0.26, 0.17), (0.76, 0.39, 0.23), (0.33, 0.50, 0.44))
# Over red and brown walls a red or brown roof would not be told from them.
COOL_ROOFS = ((0.24, 0.25, 0.28), (0.33, 0.38, 0.47), (0.47, 0.51, 0.55), (0.34, 0.52, 0.46), (0.20, 0.36, 0.33))
SNOW = (0.95, 0.97, 1.0)


@dataclass
class Light:
    """The hour's light, (B, 1, 1) each."""

    day: Tensor  # weights of the three, summing to 1
    dusk: Tensor
    night: Tensor
    tint: list[Tensor]  # colour of the light on whatever does not glow
    glow: Tensor  # 1 where lamps are lit behind the windows
    across: Tensor  # from which side it comes: -0.8 left, 0.8 right


@dataclass
class Church:
    """One scene per image; (B, 1, 1) scalars and (B, R, R) maps."""

    scene: Scene  # every parameter as (B, 1, 1)
    pixel: float  # side of a pixel, the softness of edges
    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    side: Tensor  # +1 where u runs as x does, else -1
    depth: Tensor  # 0 seen from the front, 1 at full turn
    length: Tensor  # seen length of the side, in u
    width: Tensor  # half width of the front
    eave: Tensor  # v of the walls' top
    ridge: Tensor  # v of the roof's top
    light: Light
    light_u: Tensor  # the light's side in u
    wall: list[Tensor]  # colours under the hour's light
    trim: list[Tensor]
    roof: list[Tensor]
    tower_roof: list[Tensor]

    def lit(self, color: Sequence[Tensor | float]) -> list[Tensor]:
        """A colour under the hour's light."""
        return [channel * tint for channel, tint in zip(color, self.light.tint, strict=True)]

    @property
    def front_light(self) -> float:
        """Brightness of what faces the viewer."""
        return 0.90

    @property
    def side_light(self) -> Tensor:
        """Brightness of what faces the side: lit or in the shade, never as bright as the front."""
        return 0.72 + 0.36 * self.light_u


def facet(church: Church, corners: Sequence[Corner]) -> Tensor:
    """Signed distance (B, R, R), positive inside, to a convex polygon of counterclockwise (u, v) corners."""
    distance = torch.full_like(church.u, torch.inf)
    for (u0, v0), (u1, v1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        du, dv = u1 - u0, v1 - v0
        edge = (du * (church.v - v0) - dv * (church.u - u0)) / (du * du + dv * dv + 1e-6) ** 0.5
        distance = torch.minimum(distance, edge)
    return distance


def hour_light(s: Scene) -> Light:
    """The light of the hour: white by day, warm and low at dusk, blue by night; continuous in the hour."""
    night = smoothstep(0.80, 0.88, s["hour"])
    dusk = smoothstep(0.56, 0.68, s["hour"]) * (1 - night)
    day = 1 - dusk - night
    weights = zip((1.04, 1.01, 0.96), (0.98, 0.74, 0.62), (0.60, 0.66, 0.90), strict=True)
    return Light(
        day=day,
        dusk=dusk,
        night=night,
        tint=[day * a + dusk * b + night * c for a, b, c in weights],
        glow=smoothstep(0.62, 0.80, s["hour"]),
        across=s["sun_x"] / 0.9 * 0.8,
    )


def wall_color(s: Scene) -> list[Tensor]:
    """Colour of the walls' material before light."""
    colors = [palette(WALLS[name], s["wall_tone"]) for name in MATERIALS]
    chosen = [
        torch.stack([(s["material_kind"] == k) * color[channel] for k, color in enumerate(colors)]).sum(0)
        for channel in range(3)
    ]
    warmth = s["wall_warmth"]
    return [chosen[0] * (1 + 0.03 * warmth), chosen[1], chosen[2] * (1 - 0.07 * warmth)]


def roof_color(s: Scene, tone: Tensor) -> list[Tensor]:
    """Colour of a roof of that tone before light, from the palette that goes with the walls; white under snow."""
    material = s["material_kind"]
    warm = ((material == MATERIALS.index("brick")) | (material == MATERIALS.index("wood"))).float()
    color = [a + warm * (b - a) for a, b in zip(palette(ROOFS, tone), palette(COOL_ROOFS, tone), strict=True)]
    return [channel + 0.85 * s["snow"] * (snow - channel) for channel, snow in zip(color, SNOW, strict=True)]


def place_church(scene: Scene, x: Tensor, y: Tensor) -> Church:
    """The shared frame of one picture per scene.

    Args:
        scene: parameters as (B,) tensors.
        x, y: pixel centres in [-1, 1], y up, broadcastable to (B, R, R).
    """
    s = {name: value.view(-1, 1, 1) for name, value in scene.items()}
    side = torch.where(s["turn"] < 0, -1.0, 1.0)
    depth = s["turn"].abs() * (2 - s["turn"].abs())  # few with a strip of side too narrow to be read
    length = depth * s["nave_length"]
    centre = s["shift_x"] - 0.5 * side * length * s["size"]
    light = hour_light(s)
    trim = blend((0.62, 0.60, 0.56), (0.97, 0.95, 0.91), s["trim"])
    tints = [
        [channel * tint for channel, tint in zip(color, light.tint, strict=True)]
        for color in (
            wall_color(s), trim, roof_color(s, s["roof_tone"]), roof_color(s, s["tower_roof_tone"]),
        )
    ]  # fmt: skip
    return Church(
        scene=s, pixel=2.0 / max(x.shape[-1], y.shape[-2]), x=x + 0 * y, y=y + 0 * x,
        u=side * (x - centre) / s["size"] + 0 * y, v=(y - s["base"]) / s["size"] + 0 * x, side=side, depth=depth,
        length=length, width=s["nave_width"], eave=s["eave"], ridge=s["eave"] + s["gable"], light=light,
        light_u=light.across * side, wall=tints[0], trim=tints[1], roof=tints[2], tower_roof=tints[3],
    )  # fmt: skip


def masonry(church: Church, across: Tensor) -> Tensor:
    """Brightness of the walls: courses of stone or brick, boards of wood, plain plaster.

    No feature is under three pixels of the 64: finer ones alias, and no generator of this size learns them.

    Args:
        across: (B, R, R) distance along the wall.
    """
    kind, v = church.scene["material_kind"], church.v
    stone, brick, wood = (kind == 0).float(), (kind == 1).float(), (kind == 3).float()
    course, block = 0.13 * stone + 0.10 * (1 - stone), 0.26 * stone + 0.20 * (1 - stone)
    row = torch.floor(v / course)
    column = across / block + 0.5 * row
    joints = torch.cos(v / course * 2 * torch.pi).clamp(min=0).square()
    uprights = torch.cos(column * 2 * torch.pi).clamp(min=0).pow(4) * (1 - joints)
    patches = torch.sin(torch.floor(column) * 12.9 + row * 4.7)
    boards = torch.cos(across / 0.105 * 2 * torch.pi).clamp(min=0).square()
    pattern = (0.16 * stone + 0.17 * brick) * joints + 0.11 * (stone + brick) * uprights
    return 1 - pattern + 0.045 * (stone + brick) * patches - 0.22 * wood * boards


def tiles(v: Tensor) -> Tensor:
    """Brightness of a roof: faint rows along the slope."""
    return 0.97 + 0.06 * torch.cos(v / 0.105 * 2 * torch.pi)


def shaded(color: Sequence[Tensor], light: Tensor | float, texture: Tensor | float = 1.0) -> list[Tensor | float]:
    """A lit colour times the brightness of its face and its texture."""
    return scale(color, light * texture)
