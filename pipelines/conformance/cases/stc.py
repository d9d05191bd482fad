"""Syndrome-trellis codes of several heights and ratios, and E2Style's deep hiding of a code in a 1024 px picture."""

from __future__ import annotations

import hashlib
import re

import numpy as np
from numpy.typing import NDArray

from methods.deep_hiding import hide, message_of, reveal
from methods.stc import columns_of, embed, extract
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.pictures import scene

CODE_SHAPE = (18, 512)
CARRIER = 1024
TAG = re.compile(r"(h(\d+)_n(\d+)_m(\d+))_stego")


def _sha256(content: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(hashlib.sha256(content).digest(), np.uint8)


def _embedded(data: Goldens, tag: str, height: int, cover_bits: int, message_bits: int) -> Outputs:
    cover = data.input(f"stc.cover.{tag}", (cover_bits,)).numpy() > 0
    message = data.input(f"stc.message.{tag}", (message_bits,)).numpy() > 0
    drawn = data.input(f"stc.cost.{tag}", (cover_bits,)).double().numpy()
    outputs: Outputs = {}
    for suffix, costs in (("", np.rint(64 * np.abs(drawn) + 1) / 64), ("_unit", np.ones(cover_bits))):
        embedded = embed(cover, message, costs, height)
        outputs[f"{tag}_stego{suffix}"] = np.packbits(embedded.stego)
        outputs[f"{tag}_cost{suffix}"] = embedded.cost
        if not np.array_equal(extract(embedded.stego, message_bits, height), message):
            raise AssertionError(f"the message hidden with {tag} is not the one found again")
    return outputs


def _hidden(data: Goldens) -> Outputs:
    code = 3 * data.input("stc.e2style.code", CODE_SHAPE).double().numpy()
    carrier = scene(data, "stc.e2style.carrier", CARRIER, CARRIER, block=16)
    message = message_of(code)
    stego = hide(carrier, code)
    middle = slice(CARRIER // 2 - 8, CARRIER // 2 + 8)
    difference = stego.astype(np.float64) - carrier
    if not np.array_equal(reveal(stego, CODE_SHAPE), np.rint(code)):
        raise AssertionError("the hidden code is not the one found again")
    return {
        "e2style_changes": int((stego != carrier).sum()),
        "e2style_message_first90": message[:90],
        "e2style_code_first10": code.ravel()[:10],
        "e2style_message_ones": int(message.sum()),
        "e2style_stego_crop16": stego[middle, middle],
        "e2style_stego_lsb_first4096": np.packbits(stego.ravel()[:4096] & 1),
        "e2style_mse": float((difference**2).mean()),
        "e2style_stego_sha256": _sha256(stego.tobytes()),
        "e2style_message_sha256": _sha256(np.packbits(message).tobytes()),
        "e2style_columns_38": columns_of(38),
    }


@CASES.register("stc")
def stc(data: Goldens) -> Outputs:
    """Every code that the golden names, then the hidden inversion code."""
    outputs: Outputs = {}
    for found in filter(None, (TAG.fullmatch(name) for name in data.golden("stc"))):
        outputs |= _embedded(data, found[1], int(found[2]), int(found[3]), int(found[4]))
    return outputs | _hidden(data)


TOLERANCES["stc"] = {"*": Tolerance(relative=0.0)}
