"""The head as a surface of revolution-like solid, seen under yaw: where each pixel meets it, and how it is lit.

Head coordinates: u to the person's left seen from the front, v up, w out of the face; the picture's x and y are
orthographic. Each horizontal slice of the head is an ellipse (half axes `a` across, `c` in depth) scaled by a
profile that narrows to skull and chin, so a viewing ray meets it in closed form and features painted in (u, v)
turn, foreshorten and disappear behind the cheek as a real head's do.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipelines.domains.canvas import inside, palette, smoothstep
from pipelines.domains.faces.scene import Scene

DEGREE = torch.pi / 180
VIEW = 0.80  # half extent of the picture in head units

SKIN = (
    (0.98, 0.85, 0.77), (0.93, 0.75, 0.63), (0.82, 0.62, 0.47), (0.64, 0.44, 0.31), (0.46, 0.30, 0.21),
    (0.33, 0.21, 0.15),
)  # fmt: skip
HAIR = (
    (0.07, 0.06, 0.06), (0.17, 0.11, 0.08), (0.32, 0.20, 0.12), (0.52, 0.34, 0.18), (0.80, 0.64, 0.38),
)  # fmt: skip


@dataclass
class Head:
    """One head per image under its view; (B, 1, 1) scalars and (B, R, R) maps."""

    scene: Scene  # every parameter as (B, 1, 1)
    pixel: float  # size of a pixel in head units, the softness of edges
    x: Tensor
    y: Tensor
    u: Tensor  # head coordinates where the ray meets the surface
    v: Tensor
    w: Tensor
    cos: Tensor  # of the yaw
    sin: Tensor
    pitch: Tensor
    height: Tensor  # top of the skull
    width: Tensor  # half width of the skull
    chin: Tensor  # lowest point, negative
    old: Tensor  # 0 below 35 years, 1 at 80
    youth: Tensor  # 1 at 20 years, 0 at 80
    face: Tensor  # coverage of the head's silhouette
    shade: Tensor  # brightness of the lit surface
    light: tuple[Tensor, Tensor, Tensor]  # towards the light, in picture axes
    skin: list[Tensor]
    hair: list[Tensor]
    eye_line: Tensor  # v of the eyes
    eye_spacing: Tensor  # u of an eye's centre
    eye_size: Tensor


def _profile(y: Tensor, height: Tensor, chin: Tensor, jaw: Tensor, cheek: Tensor) -> Tensor:
    """Half width of the head at height y relative to the skull's, 1 at eye level."""
    up = (y / height).clamp(0, 1)
    down = (y / chin).clamp(0, 1)
    skull = torch.sqrt((1 - up.pow(2.4)).clamp(min=1e-4))
    narrowing = 1 - (1 - jaw) * smoothstep(0.0, 0.95, down) + 0.05 * cheek * torch.sin(down * 6.28).clamp(min=0)
    return skull * narrowing * torch.sqrt((1 - down.pow(4.5)).clamp(min=1e-4))


def hair_color(s: Scene) -> list[Tensor]:
    """Natural colour by tone and warmth, greying between about 45 and 75 years."""
    tone = s["hair_tone"] * 0.5 + 0.5
    red = (s["hair_warmth"] - 0.2).clamp(min=0) * (1 - (2 * tone - 1).abs())
    color = palette(HAIR, tone)
    color = [color[0] + 0.28 * red, color[1] - 0.02 * red, color[2] - 0.10 * red]
    grey = smoothstep(46.0, 76.0, s["age"] + 8 * s["hair_warmth"]) * 0.92
    silver = 0.70 + 0.14 * tone
    return [c * (1 - grey) + silver * k * grey for c, k in zip(color, (1.0, 1.0, 1.02), strict=True)]


def skin_color(s: Scene) -> list[Tensor]:
    """From the palette by tone, shifted by warmth."""
    red, green, blue = palette(SKIN, s["skin_tone"] * 0.5 + 0.5)
    warmth = s["skin_warmth"]
    return [red * (1 + 0.03 * warmth), green * (1 - 0.025 * warmth), blue * (1 - 0.09 * warmth)]


def place_head(scene: Scene, x: Tensor, y: Tensor) -> Head:
    """Intersect the viewing rays of pixel centres x, y in [-1, 1] (y up) with the head.

    Args:
        scene: parameters as (B,) tensors.
        x, y: broadcastable to (B, R, R).
    """
    s = {name: value.view(-1, 1, 1) for name, value in scene.items()}
    pixel = 2.0 / max(x.shape[-1], y.shape[-2]) * VIEW * 1.15
    yaw = s["yaw"] * DEGREE
    cos, sin, pitch = torch.cos(yaw), torch.sin(yaw), s["pitch"] * DEGREE
    x = x * VIEW - s["shift_x"] + 0 * y
    y = y * VIEW - s["shift_y"] - 0.03 + 0 * x
    old = smoothstep(32.0, 84.0, s["age"])
    height = 0.59 + 0.045 * s["face_length"]
    width = 0.455 + 0.045 * s["head_width"]
    chin = -(0.56 + 0.05 * s["chin_length"] + 0.04 * s["face_length"])
    jaw = 0.62 + 0.13 * s["jaw_width"] + 0.10 * old

    profile = _profile(y, height, chin, jaw, s["cheek"])
    step = 0.02
    slope = (_profile(y + step, height, chin, jaw, s["cheek"]) - _profile(y - step, height, chin, jaw, s["cheek"])) / (
        2 * step
    )
    half_width = width * profile + 1e-4
    half_depth = width * 1.12 * profile.pow(0.85) + 1e-4
    across, deep = half_width.pow(-2), half_depth.pow(-2)
    # Ray (x, z): u = x cos - z sin, w = x sin + z cos on the ellipse u^2 across + w^2 deep = 1; the nearer root.
    quadratic = sin * sin * across + cos * cos * deep
    linear = 2 * x * cos * sin * (deep - across)
    constant = x * x * (cos * cos * across + sin * sin * deep) - 1
    discriminant = linear * linear - 4 * quadratic * constant
    z = (-linear + torch.sqrt(discriminant.clamp(min=1e-6))) / (2 * quadratic)
    u, w = x * cos - z * sin, x * sin + z * cos
    silhouette = torch.sqrt((half_width * cos).pow(2) + (half_depth * sin).pow(2))
    within = (y < height) & (y > chin)
    face = inside(silhouette - x.abs(), pixel * 1.5) * within

    normal_u, normal_w = u * across, w * deep
    normal_v = -(u * u * across + w * w * deep) * slope / profile.clamp(min=0.05)
    length = torch.rsqrt(normal_u.pow(2) + normal_w.pow(2) + normal_v.pow(2) + 1e-8)
    azimuth, elevation = s["light_azimuth"] * DEGREE, s["light_elevation"] * DEGREE
    light_x = torch.sin(azimuth) * torch.cos(elevation)
    light_y = torch.sin(elevation)
    light_z = torch.cos(azimuth) * torch.cos(elevation)
    light_u, light_w = light_x * cos - light_z * sin, light_x * sin + light_z * cos
    lambert = ((normal_u * light_u + normal_v * light_y + normal_w * light_w) * length).clamp(min=0)
    shade = s["ambient"] + (1.06 - s["ambient"]) * lambert + 0.10 * lambert.pow(12)

    return Head(
        scene=s, pixel=pixel, x=x, y=y, u=u, v=y - pitch * w, w=w, cos=cos, sin=sin, pitch=pitch, height=height,
        width=width, chin=chin, old=old, youth=(80 - s["age"]) / 60, face=face, shade=shade,
        light=(light_x, light_y, light_z), skin=skin_color(s), hair=hair_color(s),
        eye_line=0.05 + 0.035 * s["eye_height"], eye_spacing=0.185 + 0.03 * s["eye_spacing"],
        eye_size=0.104 + 0.018 * s["eye_size"],
    )  # fmt: skip
