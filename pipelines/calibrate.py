"""Whether this machine computes the scores that the packages defining them computed (`reinvert calibrate`).

tests/calibration holds eight image pairs, two sets of features and reference values; `make.py` there says which
package made which. Formulas are compared in float64; LPIPS runs a float32 network, whose sums depend on the machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics import protocols
from metrics.identity import cosine_similarity
from metrics.measure import distance, scorer
from metrics.published import lpips_network

REFERENCES = "references.json"


@dataclass(frozen=True)
class Reference:
    """Who made a protocol's reference values, and how far ours may be from them.

    Attributes:
        package: that made them.
        tolerance: largest absolute deviation.
        reason: why it is that large.
    """

    package: str
    tolerance: float
    reason: str


IMAGES: dict[str, Reference] = {
    "l2": Reference("scikit-image", 1e-7, "pixels in float32 on the way"),
    "psnr": Reference("scikit-image", 1e-6, "dB; as L2"),
    "ssim": Reference("scikit-image", 1e-6, "pixels in float32 on the way"),
    "ms-ssim": Reference("pytorch-msssim", 1e-6, "pixels in float32 on the way"),
    "lpips-alex": Reference("lpips", 1e-6, "a float32 network"),
    "psp-l2": Reference("torchvision", 1e-6, "values up to 4 in float32"),
    "psp-lpips-alex": Reference("lpips, torchvision", 1e-6, "a float32 network"),
}
FEATURES: dict[str, Reference] = {
    "fid-inception": Reference("pytorch-fid", 1e-6, "a matrix root in float64"),
    "kid-inception": Reference("torch-fidelity", 1e-6, "sums in another order"),
    "id-curricularface": Reference("scipy", 1e-6, "cosines in float64"),
}


@dataclass(frozen=True)
class Comparison:
    """One score beside its reference value."""

    protocol: str
    subject: str
    expected: float
    ours: float
    reference: Reference

    @property
    def deviation(self) -> float:
        """Absolute difference; infinite where ours is not a number."""
        return abs(self.ours - self.expected) if math.isfinite(self.ours) else math.inf

    @property
    def passed(self) -> bool:
        """Whether the deviation is within the tolerance."""
        return self.deviation <= self.reference.tolerance


def _picture(path: Path) -> Tensor:
    try:
        pixels = np.asarray(Image.open(path).convert("RGB"))
    except OSError as error:
        raise ReinvertError(f"{path} cannot be read ({error}); take the folder from the repository again") from error
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]


def read_references(folder: Path) -> dict[str, Any]:
    """references.json; ReinvertError where the folder has none."""
    path = Path(folder) / REFERENCES
    if not path.is_file():
        raise ReinvertError(f"{folder} has no {REFERENCES}; give the folder tests/calibration of the repository")
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def pair_of(folder: Path, name: str) -> tuple[Tensor, Tensor]:
    """The real and the damaged picture of a pair: (1, 3, H, W) uint8 twice."""
    return _picture(Path(folder) / f"{name.split('-')[0]}-real.png"), _picture(Path(folder) / f"{name}.png")


def calibration_network(folder: Path, salt: str) -> nn.Module:
    """LPIPS on the AlexNet that the references were made with: seeded weights that every machine can build."""
    from pipelines.conformance.data import Goldens

    return lpips_network("alex", Goldens(Path(folder).parent / "conformance", salt).weights("lpips_alexnet_trunk"))


def calibrate(folder: Path, device: str | torch.device = "cpu") -> list[Comparison]:
    """Every reference value beside ours.

    Args:
        folder: tests/calibration, with tests/conformance beside it.
        device: where to compute.

    Raises:
        ReinvertError: a file is missing or unreadable, or there is a reference that nothing here computes.
    """
    content = read_references(folder)
    known = {**IMAGES, **FEATURES}
    if set(content["images"]) | set(content["features"]) != set(known):
        raise ReinvertError(f"{folder}/{REFERENCES} has other protocols than {', '.join(known)}; make it again")
    networks = {"lpips-alex": calibration_network(folder, content["salt"]).to(device)}
    comparisons = []
    for name, values in content["images"].items():
        score = scorer(protocols.get(name), networks)
        for subject, expected in values.items():
            real, fake = (picture.to(device) for picture in pair_of(folder, subject))
            protocol = protocols.get(name)
            shown = protocol if protocol.size else protocol.at(real.shape[-1])
            comparisons.append(Comparison(shown.id, subject, expected, score(real, fake).values.item(), known[name]))
    with np.load(Path(folder) / "features.npz", allow_pickle=False) as stored:
        features = [torch.from_numpy(stored[side]).to(device) for side in ("real", "fake")]
    for name, expected in content["features"].items():
        protocol = protocols.get(name)
        if protocol.per_image:
            count = min(len(part) for part in features)
            ours = cosine_similarity(features[0][:count], features[1][:count]).mean().item()
        else:
            ours = distance(protocol, features[0], features[1])
        comparisons.append(Comparison(protocol.id, "features", expected, ours, known[name]))
    return comparisons


def table(comparisons: Sequence[Comparison]) -> str:
    """One line per protocol, and one for every score that is off."""
    head = ("protocol", "reference", "scores", "largest deviation", "tolerance", "result")
    rows = []
    for protocol in dict.fromkeys(comparison.protocol for comparison in comparisons):
        mine = [comparison for comparison in comparisons if comparison.protocol == protocol]
        reference = mine[0].reference
        worst = max(comparison.deviation for comparison in mine)
        result = "pass" if all(comparison.passed for comparison in mine) else "FAIL"
        rows.append((protocol, reference.package, str(len(mine)), f"{worst:.1e}", f"{reference.tolerance:.0e}", result))
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in (head, *rows)]  # fmt: skip
    lines += [
        f"    {comparison.protocol} of {comparison.subject}: {comparison.ours!r}, reference {comparison.expected!r}"
        for comparison in comparisons
        if not comparison.passed
    ]
    return "\n".join(lines)
