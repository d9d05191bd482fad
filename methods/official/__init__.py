"""Readers of the authors' released files: from a path and the name of a layout to our networks.

    official = read("psp_ffhq_encode.pt", "psp", domain="faces")
    official.modules["encoder"], official.modules["generator"], official.latent_avg

Nothing in a file is ever executed: PyTorch's files are read with ``weights_only``, NVIDIA's and numpy's pickles by an
interpreter of our own (`methods.official.pickles`) that knows data and no code. Whatever is wrong with a file is said
in one line (ReinvertError). Each module of this package reads one family of layouts; ``LAYOUTS.names()`` lists them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.errors import ReinvertError
from methods.official import (  # noqa: F401  (each registers its layouts)
    e2style,
    feature_networks,
    feature_style,
    hfgi,
    hyperinverter,
    idinvert,
    mtcnn,
    nvidia,
    psp_family,
    rosinality,
)
from methods.official.checkpoint import load
from methods.official.layout import DOMAIN_SIZES, LAYOUTS, Content, Layout, MismatchError, Official, RefusedError

UNKNOWN = "unknown"


def read(path: str | Path, layout: str, domain: str | None = None) -> Official:
    """The networks in an official file.

    Args:
        path: the file as the authors released it.
        layout: a name of `LAYOUTS`.
        domain: refuse a file of another domain, as far as sizes tell them apart; see `DOMAIN_SIZES`.

    Raises:
        ReinvertError: no such layout, domain or file; the file is damaged, unsafe or of another kind; the line says
            what is wrong with it and what it looks like instead.
    """
    entry = LAYOUTS.get(layout)
    content = load(path)
    try:
        official = entry.read(content, domain)
    except RefusedError as refusal:
        raise ReinvertError(f"'{path}' {refusal}") from refusal
    except MismatchError as mismatch:
        raise ReinvertError(
            f"'{path}' cannot be read as {entry.description}: it {mismatch}; {_appearance(content, layout)}"
        ) from mismatch
    return replace(official, layout=layout)


def guess(path: str | Path) -> str:
    """The layout a file looks like, by a few telling keys, or "unknown".

    Raises:
        ReinvertError: the file cannot be read at all.
    """
    return _guessed(load(path))


def _guessed(content: Content) -> str:
    return next((name for name in LAYOUTS.names() if LAYOUTS.get(name).resembles(content)), UNKNOWN)


def _appearance(content: Content, layout: str) -> str:
    """What a file that does not fit looks like, and so what to do."""
    if LAYOUTS.get(layout).resembles(content):
        return "apart from that it looks like one; get the original file"
    looks = _guessed(content)
    if looks != UNKNOWN:
        return f"it looks like {LAYOUTS.get(looks).description} (layout '{looks}')"
    keys = ", ".join(f"'{str(key)[:40]}'" for key in list(content)[:3])
    return f"it looks like no layout that is known (its keys begin with {keys or 'nothing'})"


__all__ = ["DOMAIN_SIZES", "LAYOUTS", "UNKNOWN", "Layout", "Official", "guess", "read"]
