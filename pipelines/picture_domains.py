"""Pictures of a domain for the documentation: what it shows, what its numbers do, its masks, its unusual images.

Nothing is chosen by its looks: the grids are spread evenly over their split. All is drawn through `Domain`, so a new
domain needs no code here; which numbers are worth a row is stated for the domains at hand, else it is the first ones.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from pipelines import domains
from pipelines.domains import Domain
from pipelines.domains.shards import to_bytes
from reports.pictures import arrange
from reports.read import Pixels
from reports.sheet import GAP, INK, Sheet, width_of

COLUMNS = 8
LETTERS = 20
ROWS_VARIED = 9
STEPS = 6  # from one end of a range to the other
_BATCH = 8  # images drawn at once

# Per domain: the training image that is varied and the numbers that are.
VARIED: dict[str, tuple[int, tuple[str, ...]]] = {
    "faces": (
        11,
        ("yaw", "age", "smile", "hair_length", "hair_tone", "skin_tone", "facial_hair", "head_width", "light_azimuth"),
    ),
    "churches": (
        5,
        ("turn", "towers", "tower_roof", "tower_rise", "material", "roof_tone", "nave_width", "front_windows", "hour"),
    ),
}  # fmt: skip
# One colour to a label, told apart by lightness too; more labels than colours start anew.
LABEL_COLORS = (
    (205, 222, 240), (230, 159, 0), (0, 158, 115), (0, 114, 178), (213, 94, 0), (204, 121, 167), (120, 20, 60),
    (240, 228, 66), (86, 180, 233), (90, 90, 90),
)  # fmt: skip


def random_grid(domain: Domain, rows: int = 6) -> Sheet:
    """Training images, evenly spread over the split (neighbours may show one person)."""
    images = _drawn(domain, "train", _spread(torch.arange(domain.split_size("train")), rows * COLUMNS))[0]
    lines = [("", images[k : k + COLUMNS]) for k in range(0, len(images), COLUMNS)]
    return arrange(lines, [[]] * COLUMNS, enlargement=2)


def varied_grid(domain: Domain) -> Sheet:
    """One number of one image per row, from the lower end of its range to the upper."""
    index, names = VARIED.get(domain.name, (0, domain.uniform_names[:ROWS_VARIED]))
    row = domain.uniforms_of_split("train", torch.tensor([index]))
    lines = []
    for name in tqdm(names, desc="vary", disable=None):
        steps = row.repeat(STEPS, 1)
        steps[:, domain.uniform_names.index(name)] = torch.linspace(0.02, 0.98, STEPS)
        lines.append((name.replace("_", " "), _pixels(domain.draw(steps)[0])))
    return arrange(lines, [[]] * STEPS, LETTERS, enlargement=2)


def mask_grid(domain: Domain, pairs: int = 2) -> Sheet:
    """Test images that training could have shown above their labels, with a legend."""
    marked = domain.attributes("test", torch.arange(domain.split_size("test")))["out_of_distribution"]
    images, labels = _drawn(domain, "test", _spread((~marked).nonzero().flatten(), pairs * COLUMNS))
    colors = np.array([LABEL_COLORS[k % len(LABEL_COLORS)] for k in range(len(domain.label_names))], dtype=np.uint8)
    lines = []
    for first in range(0, len(images), COLUMNS):
        lines.append(("", images[first : first + COLUMNS]))
        lines.append(("", [colors[mask] for mask in labels[first : first + COLUMNS]]))
    return _with_legend(arrange(lines, [[]] * COLUMNS, enlargement=2), domain.label_names)


def unusual_grid(domain: Domain) -> Sheet:
    """The first test images of each kind that training never shows, one kind to a row."""
    truth = domain.attributes("test", torch.arange(domain.split_size("test")))
    lines = []
    for name in unusual_kinds(domain):
        indices = truth[name].nonzero().flatten()[:COLUMNS]
        lines.append((name.replace("_", " "), _drawn(domain, "test", indices)[0]))
    return arrange(lines, [[]] * COLUMNS, LETTERS, enlargement=2)


def unusual_kinds(domain: Domain) -> list[str]:
    """Attributes that are 0 or 1, and 1 in at least a row of test images, all of them out of distribution."""
    truth = domain.attributes("test", torch.arange(domain.split_size("test")))
    marked = truth["out_of_distribution"]
    kinds = []
    for name, values in truth.items():
        if name == "out_of_distribution" or values.ndim != 1:
            continue
        gate = ((values == 0) | (values == 1)).all() and values.sum() >= COLUMNS
        if gate and bool(marked[values == 1].all()):
            kinds.append(name)
    return kinds


def draw_all(name: str, out: Path) -> list[Path]:
    """Write the four pictures of a domain.

    Args:
        name: of the domain.
        out: folder for `<domain>-{grid,varied,masks,unusual}.png`.

    Returns:
        the files written.

    Raises:
        ReinvertError: unknown domain.
    """
    domain = domains.get(name)
    pictures = {"grid": random_grid, "varied": varied_grid, "masks": mask_grid, "unusual": unusual_grid}
    paths = []
    for kind, picture in pictures.items():
        paths.append(out / f"{name}-{kind}.png")
        picture(domain).save_png(paths[-1])
    return paths


def _pixels(images: Tensor) -> list[Pixels]:
    return list(to_bytes(images).numpy())


def _drawn(domain: Domain, split: str, indices: Tensor) -> tuple[list[Pixels], list[Pixels]]:
    images: list[Pixels] = []
    labels: list[Pixels] = []
    for part in tqdm(indices.split(_BATCH), desc=f"draw {split}", disable=None):
        batch = domain.render_split(split, part)
        images += _pixels(batch.images)
        labels += list(batch.labels.numpy())
    return images, labels


def _spread(candidates: Tensor, count: int) -> Tensor:
    """Every k-th of the candidates, `count` of them."""
    return candidates[:: len(candidates) // count][:count]


def _with_legend(sheet: Sheet, names: tuple[str, ...]) -> Sheet:
    """The sheet with coloured squares and the names of the labels below, in as many lines as they need."""
    height = LETTERS + 12
    left, top = GAP, sheet.height + 4
    for k, name in enumerate(names):
        width = width_of(name, LETTERS) + LETTERS + 34
        if left + width > sheet.width and left > GAP:
            left, top = GAP, top + height
        sheet.patch(left, top, left + LETTERS, top + LETTERS, INK)
        sheet.patch(left + 1, top + 1, left + LETTERS - 1, top + LETTERS - 1, LABEL_COLORS[k % len(LABEL_COLORS)])
        sheet.words(left + LETTERS + 8, top + LETTERS // 2, name, LETTERS, "start", "middle")
        left += width
    sheet.height = top + height
    return sheet
