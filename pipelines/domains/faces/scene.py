"""What a face image is made of: from uniform numbers to the parameters of the renderer.

Every image is drawn from one row of uniforms: IDENTITY channels, shared by all images of a person, then APPEARANCE
channels of the single image, then ACCESSORY channels, which only the out-of-distribution third of the test and
judges splits uses. Keeping the map uniform -> scene explicit and continuous lets the generator's pre-training
use the very same rows as latent codes.
"""

import math

import torch
from torch import Tensor

from pipelines.domains.uniforms import uniforms

Scene = dict[str, Tensor]

# The renderer version: part of every manifest and of every cache key. Raise it when pixels change.
RECIPE = 1

LABELS = ("background", "skin", "hair", "brows", "eyes", "nose", "mouth", "glasses", "hat", "clothing")

# Who the person is, each in [-1, 1]. Colour and hair come first: a hard negative keeps those and redraws the rest.
APPEARANCE_OF_IDENTITY = (
    "skin_tone", "skin_warmth", "hair_tone", "hair_warmth", "hair_length", "hair_volume", "hair_curl", "hair_part",
    "fringe", "hairline",
)  # fmt: skip
GEOMETRY_OF_IDENTITY = (
    "head_width", "jaw_width", "chin_length", "face_length", "cheek", "eye_spacing", "eye_size", "eye_slant",
    "eye_height", "iris", "brow_thickness", "brow_arch", "brow_height", "nose_length", "nose_width", "mouth_width",
    "lip_thickness", "mouth_height", "ear_size", "facial_hair",
)  # fmt: skip
IDENTITY = APPEARANCE_OF_IDENTITY + GEOMETRY_OF_IDENTITY

# What the single image shows: name -> (low, high) of a uniform distribution.
APPEARANCE: dict[str, tuple[float, float]] = {
    "yaw": (-40.0, 40.0),  # degrees, positive turns the nose to the image's right
    "pitch": (-8.0, 8.0),  # degrees
    "age": (20.0, 80.0),  # years
    "smile": (-0.5, 1.0),
    "mouth_open": (-0.8, 1.0),  # closed below 0
    "gaze_x": (-1.0, 1.0),
    "gaze_y": (-1.0, 1.0),
    "eye_open": (0.78, 1.1),
    "brow_raise": (-0.5, 1.0),
    "glasses_gate": (0.0, 1.0),  # worn above 0.8
    "glasses_shape": (0.0, 1.0),  # round to square
    "glasses_tone": (0.0, 1.0),
    "light_azimuth": (-60.0, 60.0),  # degrees
    "light_elevation": (5.0, 50.0),  # degrees
    "ambient": (0.42, 0.62),
    "background_value_1": (0.12, 0.95),
    "background_value_2": (0.12, 0.95),
    "background_hue_1": (0.0, 1.0),
    "background_hue_2": (0.0, 1.0),
    "background_saturation": (0.0, 0.5),
    "background_direction": (0.0, 2 * math.pi),
    "clothing_hue": (0.0, 1.0),
    "clothing_saturation": (0.0, 0.7),
    "clothing_value": (0.12, 0.9),
    "collar": (0.0, 1.0),  # crew neck, open collar, high neck
    "shift_x": (-0.025, 0.025),
    "shift_y": (-0.025, 0.025),
}
# What training images never show: a hat, earrings or an unusual background.
ACCESSORIES: dict[str, tuple[float, float]] = {
    "accessory": (0.0, 3.0),  # below 1.3 a hat, below 2.0 earrings, else neither; see scene_from_uniforms
    "backdrop": (0.0, 1.0),  # pattern of the unusual background
    "backdrop_scale": (0.0, 1.0),
    "hat_style": (0.0, 1.0),
    "hat_hue": (0.0, 1.0),
    "hat_saturation": (0.1, 0.8),
    "hat_value": (0.2, 0.9),
}
CHANNELS = len(IDENTITY) + len(APPEARANCE)  # numbers that describe a training image

SPLIT_SIZES = {"train": 70_000, "test": 2_824, "judges": 12_000}
IMAGES_PER_IDENTITY = {"train": 10, "test": 4, "judges": 10}


def identity_of(split: str, indices: Tensor) -> Tensor:
    """(B,) int64 person shown by each image; persons never cross splits."""
    return torch.div(indices, IMAGES_PER_IDENTITY[split], rounding_mode="floor")


def out_of_distribution(split: str, indices: Tensor) -> Tensor:
    """(B,) bool: every third image of the test and judges splits carries what training never shows."""
    return (indices % 3 == 0) & (split != "train")


def identity_uniforms(split: str, identities: Tensor) -> Tensor:
    """(B, len(IDENTITY)) uniforms in (0, 1) of the given persons."""
    return uniforms(f"faces/{split}/identity", identities, len(IDENTITY))


def split_uniforms(split: str, indices: Tensor) -> Tensor:
    """(B, CHANNELS) uniforms in (0, 1) that describe the images of a split, accessories aside."""
    person = identity_uniforms(split, identity_of(split, indices))
    return torch.cat([person, uniforms(f"faces/{split}/image", indices, len(APPEARANCE))], 1)


def hard_negative_uniforms(split: str, indices: Tensor) -> Tensor:
    """As split_uniforms, with another person's geometry under the same skin and hair."""
    rows = split_uniforms(split, indices).clone()
    kept = len(APPEARANCE_OF_IDENTITY)
    stranger = uniforms(f"faces/{split}/stranger", identity_of(split, indices), len(GEOMETRY_OF_IDENTITY))
    rows[:, kept : len(IDENTITY)] = stranger
    return rows


def scene_from_uniforms(rows: Tensor, accessories: Tensor | None = None, worn: Tensor | None = None) -> Scene:
    """Renderer parameters from uniforms.

    Args:
        rows: (B, CHANNELS) uniforms in (0, 1).
        accessories: (B, len(ACCESSORIES)) uniforms, or None for none.
        worn: (B,) bool, which images use their accessories.

    Returns:
        name -> (B,) float32, every name of IDENTITY, APPEARANCE and ACCESSORIES, with the gates `glasses`, `hat`,
        `earrings`, `unusual_background` in {0, 1}.
    """
    if rows.ndim != 2 or rows.shape[1] != CHANNELS:
        raise ValueError(f"expected (B, {CHANNELS}) uniforms, got {tuple(rows.shape)}")
    scene: Scene = {name: rows[:, i] * 2 - 1 for i, name in enumerate(IDENTITY)}
    for i, (name, (low, high)) in enumerate(APPEARANCE.items(), start=len(IDENTITY)):
        scene[name] = low + (high - low) * rows[:, i]
    if accessories is None or worn is None:
        accessories = torch.full((len(rows), len(ACCESSORIES)), 0.5, device=rows.device)
        worn = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    for i, (name, (low, high)) in enumerate(ACCESSORIES.items()):
        scene[name] = low + (high - low) * accessories[:, i]
    kind = scene["accessory"]
    hat, earrings = kind < 1.3, (kind >= 1.3) & (kind < 2.2)
    scene["hat"] = (worn & hat).float()
    scene["earrings"] = (worn & earrings).float()
    # Whoever wears neither stands before an unusual background; half of the others do as well.
    scene["unusual_background"] = (worn & (~(hat | earrings) | (scene["backdrop"] < 0.5))).float()
    scene["glasses"] = (scene["glasses_gate"] > 0.8).float()
    return scene


def split_scene(split: str, indices: Tensor, hard_negative: bool = False) -> Scene:
    """The scene of images `indices` of `split`; with `hard_negative`, that of look-alike strangers."""
    rows = (hard_negative_uniforms if hard_negative else split_uniforms)(split, indices)
    accessories = uniforms(f"faces/{split}/accessories", indices, len(ACCESSORIES))
    return scene_from_uniforms(rows, accessories, out_of_distribution(split, indices))
