"""Background, neck, clothing, ears and earrings: what surrounds the face."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, hsv, inside, scale, smoothstep
from pipelines.domains.faces.head import Head
from pipelines.domains.faces.scene import LABELS, Scene

SKIN, HAT, CLOTHING = LABELS.index("skin"), LABELS.index("hat"), LABELS.index("clothing")


def background(s: Scene, x: Tensor, y: Tensor) -> list[Tensor]:
    """A two-colour gradient; on unusual images a pattern of stripes, checks or rings over it."""
    direction = s["background_direction"]
    t = ((x * torch.cos(direction) + y * torch.sin(direction)) * 0.6 + 0.5).clamp(0, 1)
    first = hsv(s["background_hue_1"], s["background_saturation"], s["background_value_1"])
    second = hsv(s["background_hue_2"], s["background_saturation"], s["background_value_2"])
    frequency = 12 + 14 * s["backdrop_scale"]
    turned = x * torch.cos(direction) + y * torch.sin(direction)
    across = y * torch.cos(direction) - x * torch.sin(direction)
    stripes = torch.sin(turned * frequency)
    checks = torch.sin(turned * frequency) * torch.sin(across * frequency) * 2
    rings = torch.sin(torch.sqrt((x - 0.4).pow(2) + (y - 0.4).pow(2)) * frequency * 1.4)
    kind = s["backdrop"]
    pattern = torch.where(kind < 0.33, stripes, torch.where(kind < 0.66, checks, rings))
    strength = (0.5 + 0.5 * (pattern * 3).clamp(-1, 1)) * s["unusual_background"]
    # Where the pattern is, the gradient's complement shows.
    gradient = [a * (1 - t) + b * t for a, b in zip(first, second, strict=True)]
    return [color * (1 - strength) + strength * (1 - color) for color in gradient]


def paint_neck_and_clothing(canvas: Canvas, head: Head) -> None:
    """The neck and, below the collar, the shoulders."""
    s, x, y, pixel = head.scene, head.x, head.y, head.pixel
    neck_width = head.width * (0.56 + 0.09 * s["jaw_width"])
    lit = (0.5 + 0.35 * (x * head.light[0] * 1.2 + 0.5).clamp(0, 1)) * (1 - 0.40 * smoothstep(-0.72, -0.46, y))
    neck = inside(neck_width + 0.10 * smoothstep(-0.55, -0.75, y) - (x + head.sin * 0.04).abs(), pixel * 2)
    canvas.paint(neck * inside(-0.30 - y, pixel * 2), scale(head.skin, lit), SKIN)

    color = hsv(s["clothing_hue"], s["clothing_saturation"], s["clothing_value"])
    side = (x.abs() - neck_width * 0.9).clamp(min=0)
    shoulders = -0.575 - 0.26 * side - 0.35 * side * side
    # Crew neck, open collar (a V) or high neck.
    kind = s["collar"]
    dip = torch.where(kind < 0.45, 0.11, torch.where(kind < 0.8, 0.26, -0.03))
    reach = torch.where(kind < 0.8, 1.0, 1.15) * neck_width
    opening = (1 - (x / reach).abs()).clamp(min=0)
    shape = torch.where(kind < 0.45, torch.sqrt(opening + 1e-6), torch.where(kind < 0.8, opening, opening.sqrt()))
    edge = shoulders - dip * shape
    cloth = inside(edge - y, pixel * 2)
    folds = 0.90 + 0.06 * torch.sin(x * 23 + y * 9) + 0.05 * torch.sin(x * 11 - y * 17)
    brightness = (0.50 + 0.50 * (x * head.light[0] + 0.55).clamp(0, 1)) * folds
    rim = 1 - 0.35 * torch.exp(-((edge - y - 0.03) / 0.014).pow(2))
    canvas.paint(cloth, scale(color, brightness * rim), CLOTHING)


def paint_ears(canvas: Canvas, head: Head) -> None:
    """Ears slide and narrow with the yaw; earrings hang from the lobes and count as accessories (label hat)."""
    s, x, y, pixel = head.scene, head.x, head.y, head.pixel
    height = 0.090 + 0.022 * s["ear_size"] + 0.015 * head.old
    centre_y = head.eye_line - 0.05
    for sign in (-1.0, 1.0):
        centre_x = sign * head.width * head.cos
        half = 0.055 * (0.5 + 0.8 * (-sign * head.sin).clamp(-0.6, 1)).clamp(min=0.12) + 0.014
        q = ((x - centre_x - sign * 0.010) / half).pow(2) + ((y - centre_y) / (height * 1.3)).pow(2)
        mask = inside((1 - q) * height * 0.5, pixel)
        lit = head.scene["ambient"] + 0.32 * (sign * head.light[0] * 0.8 + 0.6).clamp(0, 1)
        canvas.paint(mask, scale(head.skin, lit * (1 - 0.35 * torch.exp(-q * 4))), SKIN)
        lobe = torch.sqrt((x - centre_x - sign * 0.02).pow(2) + (y - (centre_y - height * 1.65)).pow(2))
        canvas.paint(inside(0.050 - lobe, pixel) * s["earrings"], [0.97, 0.83, 0.30], HAT)
