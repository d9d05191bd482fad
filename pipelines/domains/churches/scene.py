"""What a church image is made of: from uniform numbers to the parameters of the renderer.

Every image is drawn from one row of uniforms, CHANNELS of them, and, in the out-of-distribution third of the test and
judges splits, from the ODDITIES as well. The map uniform -> scene is explicit and continuous wherever the thing itself
is; a choice (towers, material, tower roof, front windows, bays) is a threshold on one number. So the generator's
pre-training can use the very same rows as latent codes.
"""

import torch
from torch import Tensor

from pipelines.domains.uniforms import uniforms

Scene = dict[str, Tensor]

# The renderer version: part of every manifest and of every cache key. Raise it when pixels change.
RECIPE = 1

LABELS = ("sky", "ground", "vegetation", "wall", "roof", "opening")  # opening: windows and doors

MATERIALS = ("stone", "brick", "plaster", "wood")
TOWER_ROOFS = ("pyramid", "spire", "dome", "flat")
TREES = 4  # two behind the church, then one before it on either side
CLOUDS = 3

# The picture's x and y run from -1 to 1; the building's lengths are in these units at `size` 1.
# Name -> (low, high) of a uniform.
PARAMETERS: dict[str, tuple[float, float]] = {
    # Composition.
    "shift_x": (-0.14, 0.14),
    "base": (-0.72, -0.56),  # y of the foot of the front
    "size": (0.98, 1.18),  # of the building
    "turn": (-1.0, 1.0),  # how much of the nave's right (positive) or left side is seen
    "nave_length": (0.40, 0.70),  # seen length of the side at full turn
    "nave_width": (0.25, 0.37),  # half width of the front
    "eave": (0.28, 0.42),  # height of the walls
    "gable": (0.18, 0.36),  # height of the roof above the walls
    # Towers.
    "towers": (0.0, 1.0),  # see _towers
    "tower_width": (0.095, 0.135),  # half width
    "tower_rise": (0.0, 1.0),
    "tower_roof": (0.0, 1.0),  # see _tower_roof
    "tower_roof_height": (0.0, 1.0),
    # Materials.
    "material": (0.0, 1.0),  # a quarter each of MATERIALS
    "wall_tone": (0.0, 1.0),
    "wall_warmth": (-1.0, 1.0),
    "trim": (0.0, 1.0),  # frames and cornices, from grey stone to white
    "roof_tone": (0.0, 1.0),
    "tower_roof_tone": (0.0, 1.0),
    # Openings.
    "arch": (0.0, 1.0),  # round to pointed
    "front_windows": (0.0, 1.0),  # rose, one, two, three
    "window_width": (0.85, 1.25),
    "window_height": (0.85, 1.20),
    "bays": (0.0, 1.0),  # two, three or four windows along the side
    "glass": (0.0, 1.0),
    "door_width": (0.060, 0.085),  # half width
    "door_height": (0.12, 0.18),
    "door_tone": (0.0, 1.0),
    "porch": (0.0, 1.0),  # a gabled porch above 0.6
    # Light and sky.
    "hour": (0.0, 1.0),  # day to 0.6, dusk to 0.8, then night
    "sun_x": (-0.9, 0.9),  # of sun or moon; the light comes from that side
    "sun_y": (0.30, 0.85),
    "haze": (0.0, 1.0),
    "sky_hue": (0.0, 1.0),
    "dusk_hue": (0.0, 1.0),
    # Land.
    "grass_tone": (0.0, 1.0),
    "grass_warmth": (-1.0, 1.0),
    "path_tone": (0.0, 1.0),
    "path_bend": (-1.0, 1.0),
    "path_width": (0.7, 1.3),
    "hill_height": (0.0, 0.26),
    "hill_slope": (-1.0, 1.0),
    "hill_tone": (0.0, 1.0),
    "foliage_tone": (0.0, 1.0),
    "foliage_warmth": (0.0, 1.0),  # towards autumn
    # Too small a cloud or tree vanishes.
    **{
        f"cloud_{k}_{name}": bounds
        for k in range(CLOUDS)
        for name, bounds in {"x": (-1.0, 1.0), "y": (0.05, 0.90), "size": (0.0, 0.42)}.items()
    },
    **{
        f"tree_{k}_{name}": bounds
        for k in range(TREES)
        for name, bounds in {"x": (0.0, 1.0), "size": (0.08, 0.74), "kind": (0.0, 1.0)}.items()
    },
}
CHANNELS = len(PARAMETERS)  # numbers that describe a training image

# What training images never show, one kind to an image.
ODDITY_KINDS = ("unseen_pair", "three_towers", "flag", "scaffolding", "odd_sky", "snow")
ODDITIES: dict[str, tuple[float, float]] = {
    "oddity": (0.0, float(len(ODDITY_KINDS))),  # its whole part chooses the kind
    "flag_hue": (0.0, 1.0),
    "odd_sky_hue": (0.0, 1.0),
}
# The tower roof that training never puts on each material; each roof is still seen on three materials.
UNSEEN_ROOF = ("dome", "spire", "pyramid", "flat")

SPLIT_SIZES = {"train": 70_000, "test": 2_824, "judges": 12_000}


def out_of_distribution(split: str, indices: Tensor) -> Tensor:
    """(B,) bool: every third image of the test and judges splits shows what training never does."""
    return (indices % 3 == 0) & (split != "train")


def split_uniforms(split: str, indices: Tensor) -> Tensor:
    """(B, CHANNELS) uniforms in (0, 1) that describe the images of a split, oddities aside."""
    return uniforms(f"churches/{split}/image", indices, CHANNELS)


def _choice(value: Tensor, count: int) -> Tensor:
    """Whole numbers 0 to count - 1, equally likely, from a uniform in (0, 1)."""
    return (value * count).floor().clamp(max=count - 1)


def _tower_roof(value: Tensor, material: Tensor, unseen: Tensor) -> Tensor:
    """Index into TOWER_ROOFS: one of the three that go with the material, or, where `unseen`, the fourth."""
    never = torch.tensor([TOWER_ROOFS.index(name) for name in UNSEEN_ROOF], device=value.device)[material.long()]
    seen = _choice(value, len(TOWER_ROOFS) - 1)
    return torch.where(unseen, never, seen + (seen >= never))


def _towers(value: Tensor, needed: Tensor, three: Tensor) -> dict[str, Tensor]:
    """Gates of the towers: none (6 %), left, right, central or two; all of them where `three`.

    Where one is `needed`, a church that would have none has a central one.
    """
    none = (value < 0.06) & ~needed
    left, right = (value >= 0.06) & (value < 0.30), (value >= 0.30) & (value < 0.54)
    two = value >= 0.78
    central = ~(none | left | right | two)
    return {
        "tower_left": (left | two | three).float(),
        "tower_right": (right | two | three).float(),
        "tower_central": (central | three).float(),
    }


def scene_from_uniforms(rows: Tensor, oddities: Tensor | None = None, odd: Tensor | None = None) -> Scene:
    """Renderer parameters from uniforms.

    Args:
        rows: (B, CHANNELS) uniforms in (0, 1).
        oddities: (B, len(ODDITIES)) uniforms, or None for none.
        odd: (B,) bool, which images use their oddities.

    Returns:
        name -> (B,) float32: every name of PARAMETERS and ODDITIES; the gates of ODDITY_KINDS, `tower_left`,
        `tower_right`, `tower_central` and `has_porch` in {0, 1}; `tower_count`; the choices `material_kind`,
        `tower_roof_kind`, `front_window_kind` and `bay_count` as whole numbers.
    """
    if rows.ndim != 2 or rows.shape[1] != CHANNELS:
        raise ValueError(f"expected (B, {CHANNELS}) uniforms, got {tuple(rows.shape)}")
    scene: Scene = {name: low + (high - low) * rows[:, i] for i, (name, (low, high)) in enumerate(PARAMETERS.items())}
    if oddities is None or odd is None:
        oddities = torch.full((len(rows), len(ODDITIES)), 0.5, device=rows.device)
        odd = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    for i, (name, (low, high)) in enumerate(ODDITIES.items()):
        scene[name] = low + (high - low) * oddities[:, i]
    kind = _choice(oddities[:, 0], len(ODDITY_KINDS))
    gates = {name: odd & (kind == i) for i, name in enumerate(ODDITY_KINDS)}
    scene |= {name: gate.float() for name, gate in gates.items()}
    scene |= _towers(scene["towers"], gates["unseen_pair"], gates["three_towers"])
    scene["tower_count"] = scene["tower_left"] + scene["tower_right"] + scene["tower_central"]
    scene["material_kind"] = _choice(scene["material"], len(MATERIALS))
    scene["tower_roof_kind"] = _tower_roof(scene["tower_roof"], scene["material_kind"], gates["unseen_pair"])
    scene["front_window_kind"] = _choice(scene["front_windows"], 4)
    scene["bay_count"] = 2 + _choice(scene["bays"], 3)
    scene["has_porch"] = (scene["porch"] > 0.6).float()
    return scene


def split_scene(split: str, indices: Tensor) -> Scene:
    """The scene of images `indices` of `split`."""
    oddities = uniforms(f"churches/{split}/oddities", indices, len(ODDITIES))
    return scene_from_uniforms(split_uniforms(split, indices), oddities, out_of_distribution(split, indices))
