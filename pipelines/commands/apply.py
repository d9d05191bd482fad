"""The papers' applications of an inversion: `reinvert apply hiding`, `swapping`, `videos`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.config import load_config
from pipelines.commands.options import SCALE, DomainName, Measuring, Scale, check_recipe, device_of, flat, section

if TYPE_CHECKING:
    from pipelines.applications import Measured

FOLDER = "applications"
"""Below the folder of results."""


def _say(lines: Iterable[Measured]) -> None:
    for line in lines:
        what = f"{line.method} {line.metric} {line.setting}".rstrip()
        failed = f", {line.n_failed} failed" if line.n_failed else ""
        print(f"{what:<52} {line.value:8.4f} [{line.low:.4f}, {line.high:.4f}], n = {line.n}{failed}")


@flat
def hiding(domain: DomainName, options: Measuring, scale: Scale = SCALE) -> None:
    """Hide the codes of test images in pictures and reveal them (E2Style, section V-A)."""
    config = load_config(options.params).at_scale(scale)
    check_recipe(config, domain)
    from pipelines.applications_config import DeepHiding

    settings = section(DeepHiding, config, options.params, "applications", "hiding")
    from pipelines.deep_hiding import hide_codes

    output = options.results / FOLDER / f"deep-hiding-{domain}"
    _say(hide_codes(domain, config, settings, options.weights, options.data, output, device_of(options.device)))


@flat
def swapping(options: Measuring, scale: Scale = SCALE) -> None:
    """Paste faces into others and invert the result (E2Style, section V-B)."""
    config = load_config(options.params).at_scale(scale)
    check_recipe(config, "faces")
    from pipelines.applications_config import FaceSwapping

    settings = section(FaceSwapping, config, options.params, "applications", "swapping")
    from pipelines.face_swapping import swap_faces

    output = options.results / FOLDER / "face-swapping-faces"
    _say(swap_faces(config, settings, options.weights, options.data, output, device_of(options.device)))


@flat
def videos(options: Measuring, scale: Scale = SCALE) -> None:
    """Invert drawn videos frame by frame: does identity stay? (Feature-Style, appendix C)."""
    config = load_config(options.params).at_scale(scale)
    check_recipe(config, "faces")
    from pipelines.applications_config import Videos

    settings = section(Videos, config, options.params, "applications", "videos")
    from pipelines.video_consistency import invert_videos

    output = options.results / FOLDER / "videos-faces"
    _say(invert_videos(config, settings, options.weights, output, device_of(options.device)))
