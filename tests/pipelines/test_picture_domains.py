"""Pictures of a domain: the rows they have, the colours of the masks, and that nothing is needed but `Domain`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from core.errors import ReinvertError
from pipelines import domains, picture_domains
from pipelines.domains import Batch, Domain
from reports.sheet import GAP, enlarged


def _attributes(split: str, indices: Tensor) -> dict[str, Tensor]:
    marked = (indices % 3 == 0) & (split != "train")
    return {
        "out_of_distribution": marked,
        "hat": (marked & (indices % 2 == 0)).float(),
        "glasses": (indices % 5 == 0).float(),  # seen in training as well
        "hue": torch.linspace(0, 1, len(indices)),
    }


def _draw(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Size 8: brightness by the first number; the label of the lower half is 1."""
    labels = torch.zeros(len(rows), 8, 8, dtype=torch.uint8)
    labels[:, 4:] = 1
    return (rows[:, :1] * 2 - 1).view(-1, 1, 1, 1).expand(-1, 3, 8, 8), labels


def _rows(split: str, indices: Tensor) -> Tensor:
    return torch.stack([(indices + 0.5) / 100, torch.full((len(indices),), 0.5)], 1)


def _render(split: str, indices: Tensor, painter: Callable[..., Any] | None = None) -> Batch:
    return Batch(*_draw(_rows(split, indices)), _attributes(split, indices))


TOY = Domain(
    name="toy",
    resolution=8,
    recipe=1,
    label_names=("above", "below"),
    splits={"train": 100, "test": 96, "judges": 10},
    painter=_render,
    render=_render,
    attributes=_attributes,
    hard_negatives=None,
    uniforms_of_split=_rows,
    uniform_names=("brightness", "nothing"),
    draw=_draw,
)
_PITCH = 8 * 2 + GAP  # of the images in a grid


def _cell(picture: Image.Image, row: int, column: int, left: int = 0) -> np.ndarray[Any, Any]:
    x, y = left + GAP + column * _PITCH, GAP + row * _PITCH
    return np.asarray(picture)[y : y + 16, x : x + 16]


def test_the_grid_shows_training_images_spread_over_the_split() -> None:
    picture = picture_domains.random_grid(TOY, rows=2).raster()
    wanted = picture_domains.to_bytes(TOY.render_split("train", torch.arange(0, 96, 6)).images).numpy()
    for index in range(16):
        shown = _cell(picture, *divmod(index, picture_domains.COLUMNS))
        assert np.array_equal(shown, enlarged(wanted[index], 2)), index


def test_each_row_varies_its_own_number_only() -> None:
    picture = picture_domains.varied_grid(TOY).raster()
    left = picture.width - picture_domains.STEPS * _PITCH - GAP
    brightness = [[int(_cell(picture, row, k, left).mean()) for k in range(picture_domains.STEPS)] for row in range(2)]
    assert brightness[0] == sorted(set(brightness[0]))  # strictly brighter to the right
    assert len(set(brightness[1])) == 1


def test_masks_have_the_colours_of_the_legend() -> None:
    picture = picture_domains.mask_grid(TOY, pairs=1).raster()
    mask = _cell(picture, 1, 0)
    assert (mask[:8] == picture_domains.LABEL_COLORS[0]).all()
    assert (mask[8:] == picture_domains.LABEL_COLORS[1]).all()
    legend = np.asarray(picture)[GAP + 2 * _PITCH :]
    for color in picture_domains.LABEL_COLORS[:2]:
        assert (legend == color).all(2).sum() > 100
    # In distribution only: 1, 2, 4, 5, ...
    first = picture_domains.to_bytes(TOY.render_split("test", torch.tensor([1])).images).numpy()[0]
    assert np.array_equal(_cell(picture, 0, 0), enlarged(first, 2))


def test_unusual_kinds_are_the_gates_that_only_marked_images_open() -> None:
    assert picture_domains.unusual_kinds(TOY) == ["hat"]
    assert picture_domains.unusual_kinds(domains.get("faces")) == ["hat", "earrings", "unusual_background"]
    kinds = picture_domains.unusual_kinds(domains.get("churches"))
    assert kinds == ["unseen_pair", "three_towers", "flag", "scaffolding", "odd_sky", "snow"]


def test_all_pictures_are_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(domains, "get", lambda name: TOY)
    paths = picture_domains.draw_all("toy", tmp_path)
    assert [path.name for path in paths] == [f"toy-{kind}.png" for kind in ("grid", "varied", "masks", "unusual")]
    assert sorted(tmp_path.iterdir()) == sorted(paths)
    for path in paths:
        Image.open(path).verify()


def test_varied_numbers_exist() -> None:
    for name, (index, numbers) in picture_domains.VARIED.items():
        domain = domains.get(name)
        assert set(numbers) <= set(domain.uniform_names)
        assert 0 <= index < domain.split_size("train")


def test_an_unknown_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="did you mean 'churches'"):
        picture_domains.draw_all("church", tmp_path)
