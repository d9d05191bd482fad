"""The stage `deep-hiding`: the code of one picture, hidden in another and revealed (`methods.deep_hiding`).

Paper: Wei et al., "E2Style" (arXiv 2104.07661), section V-A and algorithm 1. What is asked: does the receiver get the
rounded code exactly, and does rounding change the picture less than inverting the photo already did ("no significant
visual impact")?

Deviations:

- Rounding is to the nearest whole number, as in the authors' code; see `methods.deep_hiding`.
- The paper hides 82,944 bits in a picture of 1024 px, 0.026 bits per lowest bit. A picture of 64 px has 12,288 lowest
  bits and a code 11,520 bits, so the carrier is a montage of other test images; the record says its rate.
- The stego picture goes through a PNG file in memory, as the sender's does through a channel.

A code that cannot be sent (a number of 256 or more, or one that is not finite) counts as not exact, and its receiver
has a mid-grey picture. Where the whole code draws nothing finite, rounding counts as much as inversion.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from core.errors import ReinvertError
from core.files import sha256_of
from methods import deep_hiding
from methods.inverter import Inverter
from metrics.applications import ROUNDING_PROTOCOL, ratio_of_means
from metrics.perceptual import Perceptual
from metrics.pixel import psnr
from metrics.registry import get as metric
from pipelines.applications import (
    Bench,
    Flags,
    Measured,
    mean_of,
    record_of,
    require_known,
    write,
)
from pipelines.applications_config import DeepHiding
from pipelines.domains import shards
from pipelines.domains.shards import to_float
from pipelines.edit_judges import of_pairs
from pipelines.edit_measures import draw, invert
from pipelines.evaluate import choose_images
from pipelines.evaluate_chunks import one_thread
from pipelines.generator_quality import Pixels

NAME = "deep-hiding"
"""Of the stage, of its files and of the setting of its cells."""
PROTOCOLS = {"rounding_share": ROUNDING_PROTOCOL, "lpips": metric("lpips").protocol, "psnr": metric("psnr").protocol}
BLANK = 128
"""What a receiver has of a code that cannot be sent."""


def montage(pixels: Pixels, tiles: int, left_out: int) -> Pixels:
    """(tiles H, tiles W, 3): the images that follow `left_out` in (n, H, W, 3), from the first again after the last."""
    count, height, width, _ = pixels.shape
    chosen = pixels[(left_out + 1 + np.arange(tiles**2)) % count]
    grid = chosen.reshape(tiles, tiles, height, width, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(tiles * height, tiles * width, 3))


def through_png(picture: Pixels) -> Pixels:
    """The picture as it comes out of a PNG file."""
    held = io.BytesIO()
    Image.fromarray(picture).save(held, format="PNG")
    with Image.open(held) as opened:
        return np.array(opened.convert("RGB"))


def sendable(codes: NDArray[np.float32]) -> Flags:
    """(n,) which of the codes (n, L, D) can be written as bits."""

    def fits(code: NDArray[np.float32]) -> bool:
        try:
            deep_hiding.message_of(code)
        except ReinvertError:
            return False
        return True

    return np.array([fits(code) for code in codes])


def measure(
    inverter: Inverter, pixels: Pixels, perceptual: nn.Module, settings: DeepHiding
) -> tuple[list[Measured], dict[str, Any], dict[str, NDArray[Any]]]:
    """Everything measured of one method.

    Args:
        inverter: the method.
        pixels: (n, H, W, 3) uint8; the codes of the first `settings.hidden` are hidden.
        perceptual: LPIPS of images in [-1, 1].
        settings: how.

    Returns:
        The cells; what else the record says (the rate in bits of message per bit of carrier, means of LPIPS, of the
        PSNR of stego and carrier in dB, and the share of the carrier's values that changed); pictures.
    """
    device = inverter.generator.device
    code = invert(inverter, pixels, settings.batch, settings.seed)
    styles = code.styles.detach().cpu().numpy()
    whole = draw(inverter, code, settings.batch)
    sent = sendable(styles)
    received = np.where(sent[:, None, None], np.rint(np.nan_to_num(styles)), 0)

    exact, stego_psnr, changed, rate = [], [], [], 0.0
    for place in range(settings.hidden):
        if not sent[place]:
            exact.append(False)
            continue
        carrier = montage(pixels, settings.carrier_tiles, place)
        stego = through_png(deep_hiding.hide(carrier, styles[place]))
        received[place] = deep_hiding.reveal(stego, styles[place].shape)
        exact.append(bool(np.array_equal(received[place], np.rint(styles[place].astype(np.float64)))))
        pair = [to_float(torch.from_numpy(picture[None])) for picture in (carrier, stego)]
        stego_psnr.append(float(psnr(*pair)[0]))
        changed.append(float((carrier != stego).mean()))
        rate = styles[place].size * deep_hiding.BITS_PER_NUMBER / carrier.size

    rounded = draw(inverter, replace(code, styles=torch.from_numpy(received).to(code.styles)), settings.batch)
    drawn = np.where(sent[:, None, None, None], rounded.pixels, np.uint8(BLANK))
    failed = ~sent | whole.failed | rounded.failed
    of_inversion = of_pairs(perceptual, pixels, whole.pixels, device)
    of_rounding = np.where(whole.failed, of_inversion, of_pairs(perceptual, whole.pixels, drawn, device))
    share = ratio_of_means(of_rounding, of_inversion, settings.bootstrap_resamples, settings.seed)
    lines = [
        mean_of(settings.method, "share_of_codes_exact", NAME, np.array(exact, np.float64), ~sent[: settings.hidden],
                settings.bootstrap_resamples, settings.seed),
        Measured(settings.method, "rounding_share", NAME, *share, len(pixels), int(failed.sum())),
    ]  # fmt: skip

    def mean(values: list[float]) -> float | None:
        return float(np.mean(values)) if values else None

    facts = {
        "lpips_of_inversion": float(of_inversion.mean()),
        "lpips_of_rounding": float(of_rounding.mean()),
        "largest_number": float(np.abs(np.nan_to_num(styles)).max()),
        "message_bits": int(styles[0].size * deep_hiding.BITS_PER_NUMBER),
        "carrier_side": int(settings.carrier_tiles * pixels.shape[1]),
        "rate": rate or None,
        "stego_psnr": mean(stego_psnr),
        "carrier_values_changed": mean(changed),
    }
    few = slice(0, settings.shown)
    return lines, facts, {"inputs": pixels[few], "whole": whole.pixels[few], "rounded": drawn[few]}


def hide_codes(domain: str, settings: DeepHiding, output: Path, bench: Bench) -> list[Measured]:
    """Measure deep hiding on a domain.

    Args:
        domain: its name.
        settings: the section `applications.hiding` of params.yaml.
        output: gets cells.csv, deep-hiding.json and deep-hiding.npz.
        bench: what to measure with.

    Returns:
        The cells.

    Raises:
        ReinvertError: an unknown method, weights or images missing or altered.
    """
    require_known([settings.method], bench.config)
    split = shards.load(bench.data / domain / "test")
    outside = split.attributes["out_of_distribution"].bool().numpy()
    chosen = choose_images(outside, settings.images, settings.seed)
    # Shuffled, so that the first, whose codes are hidden, are from all of the split.
    indices = np.random.Generator(np.random.PCG64(settings.seed)).permutation(chosen)
    inverter = bench.inverter(settings.method, domain)
    perceptual = Perceptual(bench.judge_of(domain, "perceptual")).eval()
    record = record_of(NAME, domain, [settings.method], settings, bench, PROTOCOLS)
    record["data_sha256"] = sha256_of(bench.data / domain / "test" / "manifest.json")
    with one_thread():
        lines, facts, pictures = measure(inverter, split.images(indices), perceptual, settings)
    write(output, record | facts, lines, pictures | {"indices": indices[: settings.shown]})
    return lines
