"""Skin with age, mouth, eyes, brows, nose and glasses, painted in head coordinates so that they turn with it."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Canvas, blend, inside, palette, scale, smoothstep
from pipelines.domains.faces.head import Head
from pipelines.domains.faces.scene import LABELS

SKIN, BROWS, EYES, NOSE = (LABELS.index(name) for name in ("skin", "brows", "eyes", "nose"))
MOUTH, GLASSES, HAIR = (LABELS.index(name) for name in ("mouth", "glasses", "hair"))
IRIS = ((0.22, 0.13, 0.07), (0.42, 0.28, 0.12), (0.34, 0.46, 0.24), (0.30, 0.50, 0.72), (0.55, 0.63, 0.70))


def _bump(distance: Tensor, width: float | Tensor) -> Tensor:
    return torch.exp(-(distance / width).pow(2))


def mouth_line(head: Head) -> Tensor:
    """(B, 1, 1) v of the closed mouth."""
    s = head.scene
    return -0.345 - 0.03 * s["mouth_height"] - 0.02 * s["nose_length"]


def paint_skin(canvas: Canvas, head: Head) -> Tensor:
    """The bare face: sockets, cheeks, wrinkles and sag by age, stubble. Returns its brightness map (B, R, R)."""
    s, u, v, old = head.scene, head.u, head.v, head.old
    side = u.abs()
    eye_v, eye_u, size = head.eye_line, head.eye_spacing, head.eye_size
    from_eye = side - eye_u
    mouth_v = mouth_line(head)
    mouth_width = 0.150 + 0.03 * s["mouth_width"] + 0.03 * s["smile"]

    socket = torch.exp(-((from_eye / (size * 1.7)).pow(2) + ((v - eye_v - 0.01) / (size * 1.2)).pow(2)))
    dark = 0.13 * socket * (1 + 0.6 * old)
    # Forehead lines, waving a little differently on every person.
    lines = torch.sin((v + 0.02 * torch.cos(u * 7 + s["brow_arch"] * 3)) * 62 + s["nose_width"] * 3)
    forehead = smoothstep(0.20, 0.27, v) * smoothstep(0.46, 0.38, v) * smoothstep(0.30, 0.15, side)
    dark = dark + 0.16 * old * forehead * (lines - 0.3).clamp(min=0)
    # Nasolabial folds (deeper with a smile), bags under the eyes, crow's feet, sagging mouth corners.
    fold = side - (0.085 + 0.03 * s["nose_width"] + 0.45 * (-0.12 - v).clamp(min=0))
    along = smoothstep(-0.42, -0.34, v) * smoothstep(-0.08, -0.16, v)
    dark = dark + (0.34 * old + 0.05 + 0.10 * s["smile"].clamp(min=0)) * _bump(fold, 0.018) * along
    bag = v - (eye_v - size * 0.95) + 0.5 * from_eye.pow(2) / size
    dark = dark + 0.30 * old * _bump(bag, 0.014) * torch.exp(-(from_eye / size).pow(4))
    crow = torch.sin(torch.atan2(v - eye_v, (from_eye - size * 0.6).clamp(min=1e-3)) * 9).clamp(min=0)
    near = smoothstep(size * 0.95, size * 1.2, from_eye) * smoothstep(size * 2.0, size * 1.5, from_eye)
    dark = dark + 0.18 * old * crow * near * _bump(v - eye_v, 0.07)
    corner = side - mouth_width * 1.05 - 0.3 * (mouth_v - v).clamp(min=0)
    below = smoothstep(mouth_v - 0.17, mouth_v - 0.09, v) * smoothstep(mouth_v + 0.01, mouth_v - 0.02, v)
    dark = dark + 0.28 * old * _bump(corner, 0.017) * below
    dark = dark + 0.10 * torch.exp(-((v - (mouth_v - 0.095)) / 0.018).pow(2) - (u / 0.09).pow(2))
    mottle = torch.sin(u * 31 + s["skin_tone"] * 9) * torch.sin(v * 37 + s["skin_warmth"] * 9)
    brightness = head.shade * (1 - dark + (0.008 + 0.030 * old) * mottle)

    blush = torch.exp(-((side - 0.25).pow(2) + (v + 0.16).pow(2)) / 0.012) * (0.045 + 0.02 * s["skin_warmth"])
    red, green, blue = scale(head.skin, brightness)
    canvas.paint(head.face, [red + blush * 0.8, green - blush * 0.3, blue - blush * 0.3], SKIN)
    return brightness


def paint_beard(canvas: Canvas, head: Head, brightness: Tensor) -> None:
    """Stubble to full beard with moustache, for about the third of persons with the most facial hair."""
    s, u, v = head.scene, head.u, head.v
    amount = smoothstep(0.25, 0.75, s["facial_hair"])
    mouth_v = mouth_line(head)
    # Lower face below a line that rises from the moustache to the sideburns.
    line = -0.245 - 0.02 * s["nose_length"] + 0.55 * (u.abs() - 0.16).clamp(min=0)
    lips = ((u / (0.135 + 0.03 * s["mouth_width"])).pow(2) + ((v - mouth_v) / 0.055).pow(2)).clamp(max=4)
    area = inside(line - v, head.pixel * 3) * smoothstep(0.8, 1.3, lips) * head.face * (head.w > -0.05)
    texture = 0.90 + 0.10 * torch.sin(u * 44 + 2 * torch.sin(v * 23)) * torch.sin(v * 37 - u * 11)
    canvas.paint(area * amount * 0.88, scale(head.hair, (0.45 + 0.5 * brightness) * texture * 0.9), HAIR)


def paint_mouth(canvas: Canvas, head: Head, brightness: Tensor) -> None:
    """Lips that rise at the corners with a smile, teeth behind an open mouth."""
    s, u, v, pixel = head.scene, head.u, head.v, head.pixel
    width = 0.150 + 0.03 * s["mouth_width"] + 0.03 * s["smile"]
    t = u / width
    visible = head.face * (head.w > 0) * (t.abs() < 1)
    # The lips' line lifts at the corners with a smile.
    line = v - mouth_line(head) - s["smile"] * (0.9 * u * u / width.clamp(min=0.05) - 0.02)
    arch = torch.sqrt((1 - t * t).clamp(min=0))
    gap = s["mouth_open"].clamp(min=0) * 0.065 * arch
    upper_lip = (0.032 + 0.012 * s["lip_thickness"] - 0.010 * head.old) * arch.pow(0.7)
    upper_lip = upper_lip * (1 - 0.35 * _bump(u, 0.03))
    lower_lip = (0.042 + 0.014 * s["lip_thickness"] - 0.010 * head.old) * arch.pow(0.6)
    lips = [head.skin[0] * 0.84 + 0.03, head.skin[1] * 0.50, head.skin[2] * 0.53]
    upper = inside(upper_lip + gap * 0.5 - line, pixel) * inside(line - gap * 0.5, pixel) * visible
    lower = inside(line + lower_lip + gap * 0.5, pixel) * inside(-line - gap * 0.5, pixel) * visible
    canvas.paint(upper, scale(lips, brightness * 0.84), MOUTH)
    canvas.paint(lower, scale(lips, brightness * 1.02), MOUTH)
    inner = inside(gap * 0.5 - line.abs(), pixel) * visible * (s["mouth_open"] > 0.03)
    teeth = smoothstep(-0.25, 0.15, line / (gap + 1e-3)) * brightness
    canvas.paint(inner, [0.24 + 0.66 * teeth, 0.07 + 0.82 * teeth, 0.07 + 0.78 * teeth], MOUTH)
    seam = _bump(line, 0.010) * smoothstep(1.08, 0.95, t.abs()) * head.face * (head.w > 0) * (1 - inner)
    canvas.paint(seam * 0.6, scale(head.skin, 0.32))


def paint_eyes(canvas: Canvas, head: Head) -> None:
    """Lens-shaped eyes with iris, pupil, glint, lashes and the lid's crease."""
    s, pixel, size, sin = head.scene, head.pixel, head.eye_size, head.sin
    from_eye = head.u.abs() - head.eye_spacing
    slant = 0.16 * s["eye_slant"] - 0.06 * head.old
    height = head.v - head.eye_line - slant * from_eye
    opening = s["eye_open"] * (1 - 0.15 * head.old)
    lens = (1 - (from_eye / size).pow(2)).clamp(min=0)
    upper = size * 0.54 * opening * lens.pow(0.8)
    lower = size * 0.42 * opening * lens.pow(0.9)
    front = head.face * (head.w > 0)
    eye = inside(upper - height, pixel) * inside(height + lower, pixel) * (lens > 0) * front

    # Both irises look the same way, so the horizontal offset is in u, not mirrored.
    iris_x = head.u - torch.sign(head.u) * head.eye_spacing - s["gaze_x"] * 0.28 * size - 0.15 * size * sin
    iris_y = height - s["gaze_y"] * 0.12 * size - 0.03 * size
    radius = torch.sqrt(iris_x * iris_x + iris_y * iris_y + 1e-8) / (size * 0.47)
    iris = inside((1 - radius) * size * 0.47, pixel)
    pupil = inside((0.44 - radius) * size * 0.47, pixel)
    glint = torch.exp(-((iris_x - 0.14 * size).pow(2) + (iris_y - 0.16 * size).pow(2)) / 0.0007)
    lit = (0.72 + 0.28 * head.shade) * (1 - 0.35 * smoothstep(0.0, 0.025, height - upper + size * 0.3))
    iris_color = scale(palette(IRIS, s["iris"] * 0.5 + 0.5), 0.65 + 0.55 * radius.clamp(0, 1))
    color = blend(blend([0.96 * lit, 0.95 * lit, 0.94 * lit], iris_color, iris), [0.03, 0.03, 0.04], pupil)
    canvas.paint(eye, [c + glint * 0.8 * iris for c in color], EYES)

    lash = _bump(height - upper, 0.013) * (lens > 0.02) * front
    canvas.paint(lash * 0.85, scale(head.skin, 0.16))
    crease = _bump(height - upper - 0.030, 0.010) * (lens > 0.1) * front
    canvas.paint(crease * (0.22 + 0.25 * head.old), scale(head.skin, 0.45))
    canvas.paint(_bump(height + lower, 0.010) * (lens > 0.02) * front * 0.32, scale(head.skin, 0.40))


def paint_brows(canvas: Canvas, head: Head) -> None:
    """Arched brows in the colour of the hair."""
    s, u, pixel, size = head.scene, head.u, head.pixel, head.eye_size
    from_eye = u.abs() - head.eye_spacing
    height = 0.108 + 0.018 * s["brow_height"] + 0.022 * s["brow_raise"] - 0.012 * head.old
    thickness = 0.024 + 0.011 * s["brow_thickness"]
    arch = (0.030 + 0.028 * s["brow_arch"]) * (1 - ((from_eye - 0.02) / (size * 1.2)).pow(2))
    centre = head.v - head.eye_line - height - arch - 0.05 * s["eye_slant"] * from_eye
    mask = inside(thickness * (1.15 - 0.5 * from_eye / size) * 0.85 - centre.abs(), pixel * 1.3)
    mask = mask * inside(size * 1.3 - (from_eye - 0.01).abs(), pixel * 3) * head.face * (head.w > 0)
    hairs = 0.85 + 0.15 * torch.sin(u * 160 + head.v * 60)
    canvas.paint(mask * 0.93, scale(head.hair, 0.62 * hairs * (0.5 + 0.5 * head.shade)), BROWS)


def paint_nose(canvas: Canvas, head: Head) -> None:
    """The nose stands out of the face: its tip moves with the yaw further than the cheeks do, and hides one side."""
    s, x, y, pixel = head.scene, head.x, head.y, head.pixel
    width = 0.060 + 0.018 * s["nose_width"] + 0.006 * head.old
    depth_tip = head.width * 1.10 + 0.10 + 0.03 * s["nose_length"]
    depth_bridge = head.width * 1.08
    tip_x, tip_y = depth_tip * head.sin, -0.17 - 0.05 * s["nose_length"] + head.pitch * depth_tip
    bridge_x, bridge_y = depth_bridge * head.sin * 0.97, head.eye_line + head.pitch * depth_bridge
    t = ((y - bridge_y) / (tip_y - bridge_y)).clamp(0, 1)
    centre = bridge_x + (tip_x - bridge_x) * t.pow(1.3)
    half = 0.026 + (width - 0.026) * t.pow(2.2)
    q = (x - centre) / half
    ridge = inside((1 - q.abs()) * half, pixel * 2) * inside(bridge_y - 0.02 - y, pixel * 6)
    ridge = ridge * inside(y - (tip_y - 0.035), pixel * 2) * head.face
    bulb = ((x - tip_x) / (width * 0.8)).pow(2) + ((y - tip_y) / 0.05).pow(2)
    wing_x, offset = x - tip_x + 0.02 * head.sin, width * 0.75 * head.cos
    wings = torch.minimum((wing_x + offset).pow(2), (wing_x - offset).pow(2)) / (width * 0.45).pow(2)
    wings = wings + ((y - tip_y + 0.012) / 0.036).pow(2)
    body = torch.maximum(inside((1 - bulb) * 0.04, pixel), inside((1 - wings) * 0.03, pixel)) * head.face
    nose = torch.maximum(ridge * smoothstep(0.25, 0.4, t), body)
    side_light = 0.64 + 0.42 * (0.65 + 0.8 * q.clamp(-1, 1) * head.light[0]).clamp(0, 1.1)
    lit = (0.15 * s["ambient"] + 0.89) * side_light
    canvas.paint(torch.maximum(ridge * 0.55 * smoothstep(0.0, 0.5, t), nose * 0.78), scale(head.skin, lit))
    canvas.labels = torch.where(nose > 0.5, float(NOSE), canvas.labels)

    nostril_x, spread = x - tip_x, width * 0.42 * head.cos
    nostrils = torch.minimum((nostril_x + spread).pow(2), (nostril_x - spread).pow(2)) / 0.00030
    nostrils = torch.exp(-(nostrils + (y - tip_y + 0.038).pow(2) / 0.00016))
    canvas.paint(nostrils * 0.85 * head.face, scale(head.skin, 0.20))
    shadow = torch.exp(-((x - tip_x) / (width * 1.1)).pow(2) - ((y - tip_y + 0.06) / 0.016).pow(2))
    canvas.paint(shadow * 0.38 * head.face, scale(head.skin, 0.40))
    shine = torch.exp(-((x - tip_x - 0.02 * head.light[0]) / 0.018).pow(2) - ((y - tip_y - 0.015) / 0.022).pow(2))
    canvas.paint(shine * 0.35 * head.face, [c * 0.3 + 0.72 for c in head.skin])


def paint_glasses(canvas: Canvas, head: Head) -> None:
    """Round to square frames, where the scene says so."""
    s, v, pixel = head.scene, head.v, head.pixel
    side = head.u.abs()
    radius = 0.128
    # A superellipse from round (power 2) to square (power 5).
    power = 2 + 3 * s["glasses_shape"]
    dx, dy = (side - head.eye_spacing - 0.005).abs() + 1e-4, (v - head.eye_line + 0.012).abs() * 1.15 + 1e-4
    distance = (dx.pow(power) + dy.pow(power)).pow(1 / power)
    rim = inside(0.016 - (distance - radius).abs(), pixel)
    outside = (side < head.eye_spacing - radius + 0.01) | (side > head.eye_spacing + radius - 0.005)
    bar = inside(0.013 - (v - head.eye_line - 0.015).abs(), pixel) * outside
    worn = head.face * s["glasses"] * (head.w > -0.12)
    canvas.paint(inside(radius - distance, pixel) * worn * 0.12, [0.85, 0.9, 0.98])
    tone = s["glasses_tone"]
    frame = palette(((0.06, 0.06, 0.07), (0.34, 0.16, 0.08), (0.55, 0.12, 0.14), (0.62, 0.58, 0.50)), tone)
    canvas.paint(torch.maximum(rim, bar) * worn, frame, GLASSES)
