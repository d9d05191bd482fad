"""The domain `faces`: procedurally rendered heads with exact ground truth."""

import torch
from torch import Tensor

from pipelines.domains.canvas import Painter
from pipelines.domains.domain import Batch, Domain, to_draw
from pipelines.domains.faces import scene as scenes
from pipelines.domains.faces.render import RESOLUTION, paint, render


def _attributes(scene: scenes.Scene, split: str, indices: Tensor) -> dict[str, Tensor]:
    return {
        **scene,
        "identity": scenes.identity_of(split, indices),
        "identity_vector": torch.stack([scene[name] for name in scenes.IDENTITY], 1),
        "out_of_distribution": scenes.out_of_distribution(split, indices),
    }


def attributes(split: str, indices: Tensor) -> dict[str, Tensor]:
    """The ground truth of images `indices` (B,) without drawing them."""
    return _attributes(scenes.split_scene(split, indices), split, indices)


def render_split(split: str, indices: Tensor, painter: Painter = paint) -> Batch:
    """Images `indices` (B,) int64 of a split, with labels and every attribute; see `Batch`."""
    scene = scenes.split_scene(split, indices)
    return Batch(*render(to_draw(scene, split), RESOLUTION, painter), _attributes(scene, split, indices))


def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels from (B, CHANNELS) uniforms, without accessories."""
    return render(scenes.scene_from_uniforms(rows))


def hard_negatives(split: str, indices: Tensor) -> Batch:
    """The same images with another person's geometry under the same skin and hair.

    `identity` becomes `-1 - identity`, a person that no image of the split shows.
    """
    scene = scenes.split_scene(split, indices, hard_negative=True)
    truth = _attributes(scene, split, indices)
    truth["identity"] = -1 - truth["identity"]
    return Batch(*render(to_draw(scene, split)), truth)


DOMAIN = Domain(
    name="faces",
    resolution=RESOLUTION,
    recipe=scenes.RECIPE,
    label_names=scenes.LABELS,
    splits=scenes.SPLIT_SIZES,
    painter=paint,
    render=render_split,
    attributes=attributes,
    hard_negatives=hard_negatives,
    uniforms_of_split=scenes.split_uniforms,
    uniform_names=(*scenes.IDENTITY, *scenes.APPEARANCE),
    draw=draw,
)
