"""The papers' applications of an inversion: `reinvert apply hiding`, `swapping`, `videos`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from core.config import load_config
from pipelines.commands.options import SCALE, DomainName, Measuring, Scale, check_recipe, device_of, flat, section

if TYPE_CHECKING:
    from pipelines.applications import Bench, Measured

FOLDER = "applications"
"""Below the folder of results."""


def _say(lines: Iterable[Measured]) -> None:
    for line in lines:
        what = f"{line.method} {line.metric} {line.setting}".rstrip()
        failed = f", {line.n_failed} failed" if line.n_failed else ""
        print(f"{what:<52} {line.value:8.4f} [{line.low:.4f}, {line.high:.4f}], n = {line.n}{failed}")


def _bench(domain: str, options: Measuring, scale: str) -> Bench:
    config = load_config(options.params).at_scale(scale)
    check_recipe(config, domain)
    from pipelines.applications import Bench

    return Bench(config, options.weights, options.data, device_of(options.device))


@flat
def hiding(domain: DomainName, options: Measuring, scale: Scale = SCALE) -> None:
    """Hide the codes of test images in pictures and reveal them (E2Style, section V-A)."""
    bench = _bench(domain, options, scale)
    from pipelines.applications_config import DeepHiding
    from pipelines.deep_hiding import hide_codes

    settings = section(DeepHiding, bench.config, options.params, "applications", "hiding")
    _say(hide_codes(domain, settings, options.results / FOLDER / f"deep-hiding-{domain}", bench))


@flat
def swapping(options: Measuring, scale: Scale = SCALE) -> None:
    """Paste faces into others and invert the result (E2Style, section V-B)."""
    bench = _bench("faces", options, scale)
    from pipelines.applications_config import FaceSwapping
    from pipelines.face_swapping import swap_faces

    settings = section(FaceSwapping, bench.config, options.params, "applications", "swapping")
    _say(swap_faces(settings, options.results / FOLDER / "face-swapping-faces", bench))


@flat
def videos(options: Measuring, scale: Scale = SCALE) -> None:
    """Invert drawn videos frame by frame: does identity stay? (Feature-Style, appendix C)."""
    bench = _bench("faces", options, scale)
    from pipelines.applications_config import Videos
    from pipelines.video_consistency import invert_videos

    settings = section(Videos, bench.config, options.params, "applications", "videos")
    _say(invert_videos(settings, options.results / FOLDER / "videos-faces", bench))
