"""The domain `churches`: procedurally rendered buildings in their surroundings, with exact ground truth."""

from torch import Tensor

from pipelines.domains.canvas import Painter
from pipelines.domains.churches import scene as scenes
from pipelines.domains.churches.render import RESOLUTION, paint, render
from pipelines.domains.domain import Batch, Domain, to_draw


def _attributes(scene: scenes.Scene, split: str, indices: Tensor) -> dict[str, Tensor]:
    return {**scene, "out_of_distribution": scenes.out_of_distribution(split, indices)}


def attributes(split: str, indices: Tensor) -> dict[str, Tensor]:
    """The ground truth of images `indices` (B,) without drawing them."""
    return _attributes(scenes.split_scene(split, indices), split, indices)


def render_split(split: str, indices: Tensor, painter: Painter = paint) -> Batch:
    """Images `indices` (B,) int64 of a split, with labels and every attribute; see `Batch`."""
    scene = scenes.split_scene(split, indices)
    return Batch(*render(to_draw(scene, split), RESOLUTION, painter), _attributes(scene, split, indices))


def draw(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Images and labels from (B, CHANNELS) uniforms, without oddities."""
    return render(scenes.scene_from_uniforms(rows))


DOMAIN = Domain(
    name="churches",
    resolution=RESOLUTION,
    recipe=scenes.RECIPE,
    label_names=scenes.LABELS,
    splits=scenes.SPLIT_SIZES,
    painter=paint,
    render=render_split,
    attributes=attributes,
    hard_negatives=None,
    uniforms_of_split=scenes.split_uniforms,
    uniform_names=tuple(scenes.PARAMETERS),
    draw=draw,
)
