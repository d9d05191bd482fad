"""Sky, hills, ground, path and trees: what surrounds the church."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, Color, blend, hsv, inside, palette, scale, smoothstep
from pipelines.domains.churches.church import SNOW, Church
from pipelines.domains.churches.scene import CLOUDS, LABELS, TREES

GROUND, VEGETATION = LABELS.index("ground"), LABELS.index("vegetation")

DUSK_ZENITH = ((0.28, 0.34, 0.60), (0.42, 0.33, 0.56), (0.36, 0.45, 0.66))
DUSK_HORIZON = ((0.99, 0.78, 0.50), (0.98, 0.62, 0.46), (0.96, 0.60, 0.58))
NIGHT_ZENITH, NIGHT_HORIZON = (0.05, 0.07, 0.19), (0.19, 0.24, 0.44)
GRASS = ((0.24, 0.42, 0.16), (0.38, 0.54, 0.21), (0.56, 0.58, 0.28))
PATHS = ((0.60, 0.57, 0.53), (0.72, 0.62, 0.46), (0.80, 0.74, 0.62))
LEAVES = ((0.12, 0.30, 0.14), (0.22, 0.42, 0.15), (0.36, 0.50, 0.18))
AUTUMN = ((0.62, 0.26, 0.10), (0.76, 0.44, 0.13), (0.78, 0.60, 0.20))


def sky(church: Church) -> list[Tensor]:
    """The sky's gradient by the hour, with the sun or moon in it."""
    s, light = church.scene, church.light
    up = ((church.y - s["base"]) / 1.5).clamp(0, 1)
    clear = 1 - s["haze"]
    zenith_day = hsv(0.555 + 0.065 * s["sky_hue"], 0.38 + 0.36 * clear, 0.74 + 0.14 * clear)
    horizon_day = hsv(0.54 + 0.05 * s["sky_hue"], 0.08 + 0.22 * clear, 0 * clear + 0.95)
    zenith_dusk, horizon_dusk = palette(DUSK_ZENITH, s["dusk_hue"]), palette(DUSK_HORIZON, s["dusk_hue"])
    color = [
        light.day * (low_day + up * (high_day - low_day))
        + light.dusk * (low_dusk + up.sqrt() * (high_dusk - low_dusk))
        + light.night * (low_night + up * (high_night - low_night))
        for low_day, high_day, low_dusk, high_dusk, low_night, high_night in zip(
            horizon_day, zenith_day, horizon_dusk, zenith_dusk, NIGHT_HORIZON, NIGHT_ZENITH, strict=True
        )
    ]
    # Colours that no training sky has: green above, pink or yellow below.
    hue = s["odd_sky_hue"]
    above = hsv(0.25 + 0.18 * hue, 0 * hue + 0.62, 0 * hue + 0.62)
    below = hsv((0.85 + 0.30 * hue) % 1, 0 * hue + 0.50, 0 * hue + 0.96)
    dim = 1 - 0.45 * light.night
    color = [c + s["odd_sky"] * (dim * (b + up * (a - b)) - c) for c, a, b in zip(color, above, below, strict=True)]

    height = s["sun_y"] * (1 - 0.6 * light.dusk)  # low in the evening
    far = torch.sqrt((church.x - s["sun_x"]).square() + (church.y - height).square() + 1e-6)
    halo = torch.exp(-(far / 0.26).square()) * (0.55 * light.day + 0.50 * light.dusk + 0.16 * light.night)
    color = [c + halo * (k - c) for c, k in zip(color, (1.0, 0.93, 0.78), strict=True)]
    disc = inside(0.075 - far, church.pixel * 2)
    body = [1.0 - 0.10 * light.night, 0.97 - 0.05 * light.night, 0.82 + 0.08 * light.night]
    return [c + disc * (k - c) for c, k in zip(color, body, strict=True)]


def paint_clouds(canvas: Canvas, church: Church) -> None:
    """Soft heaps with flat feet, white by day, rosy at dusk, dim at night."""
    s, light = church.scene, church.light
    top = [
        light.day * a + light.dusk * b + light.night * c
        for a, b, c in zip((1.0, 1.0, 1.0), (1.0, 0.80, 0.74), (0.25, 0.30, 0.45), strict=True)
    ]
    for k in range(CLOUDS):
        size = s[f"cloud_{k}_size"]
        span = size.clamp(min=0.05)
        x = (church.x - s[f"cloud_{k}_x"]) / span
        y = (church.y - s[f"cloud_{k}_y"]) / span
        heap = torch.zeros_like(x)
        for offset, height, reach in ((-0.62, -0.02, 0.42), (0.0, 0.16, 0.56), (0.62, 0.0, 0.46)):
            heap = heap + torch.exp(-((x - offset) / reach).square() - ((y - height) / (0.62 * reach)).square())
        mask = smoothstep(0.22, 0.85, heap) * smoothstep(-0.34, -0.08, y) * smoothstep(0.08, 0.16, size)
        canvas.paint(0.88 * mask, scale(top, 0.86 + 0.14 * smoothstep(-0.2, 0.35, y)))


def _snowy(church: Church, color: Color, amount: Tensor | float) -> list[Tensor | float]:
    return blend(color, church.lit(SNOW), amount * church.scene["snow"])


def paint_land(canvas: Canvas, church: Church) -> None:
    """Hills on the horizon, the meadow with the church's shadow, and a path to the door."""
    s, x, y, v = church.scene, church.x, church.y, church.v
    grass = palette(GRASS, s["grass_tone"])
    grass = [grass[0] * (1 + 0.12 * s["grass_warmth"]), grass[1], grass[2]]
    horizon = s["base"] + 0.06
    roll = 0.62 + 0.22 * s["hill_slope"] * x + 0.16 * torch.sin(x * 3.1 + s["hill_tone"] * 6)
    crest = horizon + s["hill_height"] * roll
    distant = church.lit(blend(grass, (0.45, 0.56, 0.66), 0.35 + 0.35 * s["hill_tone"]))
    canvas.paint(inside(crest - y, church.pixel * 2), _snowy(church, distant, 0.75), GROUND)

    near = ((horizon - y) / 0.5).clamp(0, 1)
    swell = 0.04 * torch.sin(x * 4 + y * 9 + s["path_bend"] * 3) * near
    edge = horizon + 0.015 * torch.sin(x * 2.5 + s["grass_tone"] * 5)
    meadow = scale(church.lit(grass), 1.06 - 0.30 * near + swell)
    canvas.paint(inside(edge - y, church.pixel * 2), _snowy(church, meadow, 0.90), GROUND)

    # The path widens towards the viewer and bends on its way.
    down = (-v / 0.4).clamp(0, 1)
    middle = church.side * church.u - 0.45 * s["path_bend"] * down.square()
    half = s["door_width"] * 1.2 + 0.20 * s["path_width"] * down
    path = inside(torch.minimum(half - middle.abs(), -v), church.pixel * 2)
    canvas.paint(path, _snowy(church, church.lit(palette(PATHS, s["path_tone"])), 0.45), GROUND)

    # Shadow of the building, thrown away from the light.
    left, right = -church.width - 0.06, church.width + church.length + 0.06
    lean = church.u + church.light_u * v * -1.6
    within = smoothstep(left - 0.05, left + 0.05, lean) * smoothstep(right + 0.05, right - 0.05, lean)
    strength = (0.34 * church.light.day + 0.30 * church.light.dusk + 0.25 * church.light.night) * within
    fade = smoothstep(-0.17, -0.02, v) * smoothstep(0.10, 0.02, v)
    canvas.paint(strength * fade, [0.04, 0.06, 0.10])


def paint_tree(canvas: Canvas, church: Church, index: int) -> None:
    """One tree: round, conifer or poplar. 0 and 1 stand behind the church, 2 left and 3 right before it."""
    s, x, pixel = church.scene, church.x, church.pixel
    size, kind, place = (s[f"tree_{index}_{name}"] for name in ("size", "kind", "x"))
    if index < 2:
        centre = 0.95 * (index - 1 + place)
        foot = s["base"] + 0.03
    else:
        centre = (-1.0 + 0.40 * place) if index == 2 else (1.0 - 0.40 * place)
        foot = s["base"] - 0.10
    round_, conifer = kind < 0.45, (kind >= 0.45) & (kind < 0.75)  # else a poplar
    present = smoothstep(0.16, 0.24, size)
    trunk = size * torch.where(round_, 0.26, torch.where(conifer, 0.12, 0.10))
    crown = size - trunk
    across, up = x - centre, church.y - foot
    t = ((up - trunk) / crown).clamp(0, 1)
    ball = 0.50 * torch.sqrt((1 - (2 * t - 1).square()).clamp(min=1e-4)) * (1 + 0.06 * torch.sin(t * 17 + place * 9))
    tiers = 0.36 * (1.06 - t) * (0.74 + 0.26 * (1 - (t * 3.0) % 1))
    column = 0.17 * torch.sqrt((1 - (1.7 * t - 0.7).abs().pow(2.4)).clamp(min=1e-4))
    half = size * torch.where(round_, ball * 0.86, torch.where(conifer, tiers, column))
    leaves = torch.minimum(half - across.abs(), torch.minimum(up - trunk, size - up))

    stem = torch.minimum(0.035 * size + 0.006 - across.abs(), torch.minimum(up, trunk + 0.1 * size - up))
    canvas.paint(inside(stem, pixel) * present, church.lit((0.30, 0.20, 0.13)), VEGETATION)
    green = palette(LEAVES, 0.35 * place + 0.65 * s["foliage_tone"])
    turned = smoothstep(0.66, 0.95, s["foliage_warmth"] + 0.15 * place) * (~conifer)
    color = church.lit(blend(green, palette(AUTUMN, s["foliage_tone"]), turned))
    reach = across / (0.45 * size)
    clumps = 0.07 * torch.sin(across / size * 15 + t * 4) * torch.sin(t * 14 + index)
    brightness = 0.92 + 0.30 * church.light.across * reach + 0.34 * (t - 0.45) + clumps
    foliage = _snowy(church, scale(color, brightness), 0.75 * smoothstep(0.2, 0.9, t))
    canvas.paint(inside(leaves, pixel * 1.5) * present, foliage, VEGETATION)


def paint_trees(canvas: Canvas, church: Church, before: bool) -> None:
    """The trees before the church, or those behind it."""
    for index in range(TREES):
        if (index >= 2) == before:
            paint_tree(canvas, church, index)
