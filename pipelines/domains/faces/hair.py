"""Hair and hats: a shell behind the head, locks on the skull in front, and what is worn over them."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, hsv, inside, scale, smoothstep
from pipelines.domains.faces.head import Head
from pipelines.domains.faces.scene import LABELS

HAIR, HAT = LABELS.index("hair"), LABELS.index("hat")


def baldness(head: Head) -> Tensor:
    """(B, 1, 1) in [0, 1]: receding with age for those with a high hairline."""
    s = head.scene
    return (smoothstep(38.0, 72.0, s["age"]) * smoothstep(-0.1, 0.9, s["hairline"])).clamp(0, 1)


def _curl(head: Head) -> Tensor:
    return smoothstep(0.0, 0.9, head.scene["hair_curl"])


def _texture(head: Head) -> Tensor:
    """Brightness of the strands: fine and running from the parting for straight hair, tufts for curls."""
    s, x, y = head.scene, head.x, head.y
    part = s["hair_part"] * 0.16
    angle = torch.atan2(x - part, (y + 0.25).clamp(min=-0.02) + 0.08)
    run = angle * smoothstep(-0.15, 0.25, y) + (x - part) * 3.0 * smoothstep(0.25, -0.15, y)
    wave = 2.2 * torch.sin(y * 9 + s["hair_tone"] * 5) * smoothstep(-0.3, 0.3, s["hair_curl"])
    strands = 0.60 * torch.sin(run * 41 + wave + s["hair_part"] * 3) + 0.40 * torch.sin(run * 17 + 2 * wave + y * 3)
    tufts = torch.sin(x * 39 + 2.6 * torch.sin(y * 17 + x * 5)) * torch.sin(y * 35 + 2.6 * torch.sin(x * 19 - y * 4))
    curl = _curl(head)
    return 0.92 + 0.11 * strands * (1 - curl) + 0.20 * tufts * curl


def _gloss(head: Head) -> Tensor:
    """A band of light across the crown, as hair shows it."""
    s = head.scene
    band = torch.exp(-((head.y - head.height * 0.72 + 0.5 * (head.x - 0.25 * head.light[0]).pow(2)) / 0.075).pow(2))
    return (
        0.30
        * band
        * (1 - _curl(head))
        * smoothstep(0.55, 0.0, (head.x - 0.3 * head.light[0]).abs())
        * (0.6 + 0.4 * s["light_elevation"] / 50)
    )


def _shell(head: Head) -> tuple[Tensor, Tensor]:
    """The hair behind the head: (B, R, R) half width at each height and (B, 1, 1) height of its top."""
    s, y = head.scene, head.y
    length = s["hair_length"] * 0.5 + 0.5
    volume = s["hair_volume"] * 0.5 + 0.5
    bald = baldness(head)
    curl = _curl(head)
    extra = 0.025 + (0.065 + 0.05 * curl) * volume + 0.03 * length
    top = head.height + (0.035 + 0.065 * volume + 0.03 * curl) * (1 - bald)
    up = ((y - 0.1) / (top - 0.1)).clamp(0, 1)
    cap = torch.sqrt((1 - up.pow(2.3)).clamp(min=1e-4))
    wavy = 1 + 0.03 * length * torch.sin(y * 14 + s["hair_warmth"] * 6)
    width = (head.width + extra * (1 - 0.55 * bald * smoothstep(0.0, 0.4, y))) * cap * wavy
    return width + 0.016 * curl * torch.sin(y * 34 + 3 * torch.sin(head.x * 9)), top


def _bottom(head: Head) -> Tensor:
    """Lowest point of the hair: above the ears when short, below the shoulders when long."""
    length = head.scene["hair_length"] * 0.5 + 0.5
    return 0.16 - 0.98 * smoothstep(0.15, 1.0, length)


def paint_back_hair(canvas: Canvas, head: Head) -> None:
    """The shell behind head and shoulders."""
    s, x, y, pixel = head.scene, head.x, head.y, head.pixel
    centre = -head.sin * 0.10
    bottom = _bottom(head)
    half, top = _shell(head)
    half = half * (0.80 + 0.20 * smoothstep(-0.05, 0.25, y - bottom))
    ends = 0.022 * torch.sin(x * 30 + s["hair_tone"] * 8)
    mask = inside(half - (x - centre).abs(), pixel * 2) * inside(y - bottom + ends, pixel * 4)
    mask = mask * inside(top - pixel - y, pixel * 2)
    lit = 0.42 + 0.38 * ((x - centre) * head.light[0] * 1.2 + 0.5 + 0.5 * y * head.light[1]).clamp(0, 1.2)
    canvas.paint(mask, scale(head.hair, lit * _texture(head)), HAIR)


def paint_front_hair(canvas: Canvas, head: Head) -> None:
    """Hair on the skull: above the hairline, with parting and fringe, and down the sides."""
    s, u, v, pixel = head.scene, head.u, head.v, head.pixel
    side = u.abs()
    bald = baldness(head)
    fringe = s["fringe"]
    part = s["hair_part"] * 0.16
    line = 0.37 + 0.03 * s["hairline"] + 0.20 * bald - 0.03 * fringe
    line = line - 0.10 * (1 - bald) * smoothstep(0.18, 0.44, side)
    # A parting lifts the line where the hair divides; a fringe hangs over the forehead, swept away from it.
    line = line + 0.06 * torch.exp(-((u - part) / 0.06).pow(2)) * (1 - bald) * smoothstep(0.3, -0.2, fringe)
    sweep = 1 - 0.9 * s["hair_part"] * u
    hang = 0.10 * fringe.clamp(min=0) * smoothstep(0.36, 0.22, side) * (1 - bald) * sweep
    line = line - hang * (1 + 0.22 * torch.sin(u * 38 + s["hair_warmth"] * 7))
    ragged = 0.012 * torch.sin(u * 55 + s["hair_tone"] * 7) + 0.014 * _curl(head) * torch.sin(u * 37 + v * 20)
    on_top = inside(v - line + ragged, pixel * 2.5)
    length = s["hair_length"] * 0.5 + 0.5
    sides = smoothstep(head.width * 0.80, head.width * 0.96, side) * inside(v - (0.03 - 0.62 * length), pixel * 3)
    behind = smoothstep(0.10, -0.06, head.w) * inside(v - (-0.06 - 0.55 * length), pixel * 3)
    mask = torch.maximum(on_top, torch.maximum(sides, behind)) * head.face
    texture = _texture(head)
    lit = (0.42 + 0.52 * head.shade) * texture
    gloss = _gloss(head) * texture
    canvas.paint(mask, [channel * lit + gloss * (0.35 + 0.5 * channel) for channel in head.hair], HAIR)


def paint_hat(canvas: Canvas, head: Head) -> None:
    """A brimmed hat, a beanie or a cap, over the hair; only where the scene says so."""
    s, x, y, pixel = head.scene, head.x, head.y, head.pixel
    style = s["hat_style"]
    rim = torch.where(style < 0.4, 0.28, torch.where(style < 0.75, 0.24, 0.30))
    tall = torch.where(style < 0.4, 0.24, torch.where(style < 0.75, 0.10, 0.12))
    top = head.height + tall
    dome = torch.where(style < 0.4, 5.0, 2.4)
    up = ((y - rim) / (top - rim)).clamp(0, 1)
    half = (head.width + 0.055) * torch.sqrt((1 - up.pow(dome)).clamp(min=1e-4))
    centre = -head.sin * 0.05
    crown = inside(half - (x - centre).abs(), pixel * 2) * inside(y - rim, pixel * 2) * inside(top - y, pixel * 2)
    reach = torch.where(style < 0.4, head.width * 1.42, torch.where(style < 0.75, head.width * 1.06, head.width * 0.8))
    forward = torch.where(style < 0.75, 0.1, 0.55) * head.sin
    thickness = torch.where(style < 0.4, 0.035, torch.where(style < 0.75, 0.055, 0.045))
    brim = inside(thickness - (y - rim + 0.10 * (x - forward).pow(2)).abs(), pixel * 2)
    brim = brim * inside(reach - (x - forward).abs(), pixel * 2)
    color = hsv(s["hat_hue"], s["hat_saturation"], s["hat_value"])
    lit = 0.52 + 0.46 * (x * head.light[0] + 0.55 + 0.2 * y).clamp(0, 1)
    knit = torch.where((style >= 0.4) & (style < 0.75), 0.10, 0.0) * torch.sin(x * 60)
    band = 1 - 0.35 * torch.where(style < 0.4, 1.0, 0.4) * inside(0.045 - (y - rim - 0.07).abs(), pixel)
    canvas.paint(torch.maximum(crown, brim) * s["hat"], scale(color, lit * band * (1 + knit)), HAT)
