"""Trained weights: one safetensors file and one card that says what it is.

A folder `weights/<domain>/<network>/` holds `weights.safetensors` and `card.json`. The card keeps the SHA-256 of the
file, so that an altered or truncated file is noticed before a number is computed with it. No pickles anywhere.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_json, sha256_of

if TYPE_CHECKING:
    from torch import Tensor  # heavy, and cards are read without it

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
StoredDtype = Literal["float32", "float16", "int8"]
"""How floating-point tensors are stored. int8: tensors of two or more dimensions as whole numbers of 127ths of the
largest magnitude per slice (per output channel of a convolution), the rest as float16. That rounds pSp's codes at 64 px
by 0.004 dB of PSNR, less than is printed, at half of float16's bytes."""
_SCALE = "::scale"


class Source(pydantic.BaseModel):
    """The published file that weights were converted from."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    file: str
    address: str | None
    licence: str
    sha256: str
    bytes: int


class WeightsCard(pydantic.BaseModel):
    """What is known about one set of weights. `sha256`, `bytes` and `parameters` are filled in by `save_weights`."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    domain: str
    architecture: str
    """Which network class the weights belong to."""
    arguments: dict[str, Any]
    """Keyword arguments that rebuild the network."""
    recipe: int
    """Version of the training procedure; raised when training changes meaning. 0: trained by others."""
    images_seen: int | None
    """None, like `seed`, where others trained the network and do not say."""
    seed: int | None
    device: str
    precision: str | None = None
    """The arithmetic of the training: bf16-mixed or 32-true (see `core.precision`); None where it was not recorded."""
    training_seconds: float | None = None
    """Wall-clock time of the training on `device`, all sittings together; None where it was not recorded."""
    code_version: str
    """Of the code that trained it, or that converted it."""
    source: Source | None = None
    """The file it was converted from; None for what was trained here."""
    scores: dict[str, float] = {}
    dtype: StoredDtype = "float32"
    """How floating-point tensors are stored; they load as float32."""
    sha256: str = ""
    bytes: int = 0
    parameters: int = 0
    """Number of stored values, scales of int8 tensors aside."""


def weights_folder(weights_root: str | Path, domain: str, network: str) -> Path:
    """Where the weights of a network lie: one level below the domain, whatever its name.

    A slash in the name of a method (`hyperinverter/w-encoder`) becomes a dash: as a folder inside another network's
    folder it would be part of that network's output, which DVC refuses.
    """
    return Path(weights_root) / domain / network.replace("/", "-")


def code_version() -> str:
    """The commit of the working copy (with "+" when files differ from it), or "unversioned" outside of git."""
    folder = Path(__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=folder, capture_output=True, text=True, check=True, timeout=20,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unversioned"
    return answer.stdout.strip() or "unversioned"


def _slices(value: Tensor) -> Tensor:
    """The largest magnitude of each slice along the first dimension longer than one, other dimensions kept as ones."""
    along = next((i for i, length in enumerate(value.shape) if length > 1), 0)
    others = [i for i in range(value.ndim) if i != along]
    return value.abs().amax(others, keepdim=True)


def encode(state_dict: dict[str, Tensor], dtype: StoredDtype, name: str) -> dict[str, Tensor]:
    """What goes into the file: floating-point tensors in `dtype`, others as they are, all on the CPU.

    Args:
        state_dict: tensors by key.
        dtype: see `StoredDtype`.
        name: of the network, for the error.

    Raises:
        ReinvertError: a value is not finite in the stored dtype.
    """
    import torch

    stored: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        value = value.detach().to("cpu")
        if value.is_floating_point():
            whole_numbers = dtype == "int8" and value.ndim >= 2 and value.numel() > 0
            scale = _slices(value.float()) / 127 if whole_numbers else torch.ones(())
            rounded = value.to(torch.float32 if dtype == "float32" else torch.float16)
            if not bool(torch.isfinite(scale if whole_numbers else rounded).all()):
                raise ReinvertError(f"'{key}' of {name} is not finite as {dtype}; the training diverged")
            if whole_numbers:
                stored[key + _SCALE] = scale
                rounded = (value.float() / torch.where(scale == 0, 1, scale)).round().to(torch.int8)
            value = rounded
        # A clone, because safetensors refuses tensors that share memory (tied weights, views).
        stored[key] = value.clone(memory_format=torch.contiguous_format)
    return stored


def decode(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state dict that `encode` was given, rounded; floating-point tensors as float32."""
    state: dict[str, Tensor] = {}
    for key, value in stored.items():
        if key.endswith(_SCALE):
            continue
        if key + _SCALE in stored:
            value = value.float() * stored[key + _SCALE]
        state[key] = value.float() if value.is_floating_point() else value
    return state


def save_weights(folder: str | Path, state_dict: dict[str, Tensor], card: WeightsCard) -> WeightsCard:
    """Write weights and card into `folder`; the card last, so that a card always describes a complete file.

    Args:
        folder: `weights/<domain>/<network>`; made when missing.
        state_dict: tensors by key; floating-point ones are stored in `card.dtype`, others as they are.
        card: its `sha256`, `bytes` and `parameters` are ignored and computed.

    Returns:
        The completed card.

    Raises:
        ReinvertError: the disk is full, or a value is not finite in the stored dtype.
    """
    import safetensors.torch

    folder = Path(folder)
    stored = encode(state_dict, card.dtype, card.name)
    path = folder / WEIGHTS_FILE
    with atomic_path(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(stored))
    complete = card.model_copy(
        update={
            "sha256": sha256_of(path),
            "bytes": path.stat().st_size,
            "parameters": sum(value.numel() for key, value in stored.items() if not key.endswith(_SCALE)),
        }
    )
    atomic_write_json(folder / CARD_FILE, complete.model_dump())
    return complete


def load_card(folder: str | Path) -> WeightsCard:
    """The card in `folder`.

    Raises:
        ReinvertError: there is none, or it cannot be read.
    """
    path = Path(folder) / CARD_FILE
    if not path.is_file():
        raise ReinvertError(f"no weights in '{folder}' (no {CARD_FILE}); get them with 'dvc pull' or train them")
    try:
        return WeightsCard.model_validate_json(path.read_text(encoding="utf-8"))
    except (pydantic.ValidationError, UnicodeDecodeError) as error:
        raise ReinvertError(f"'{path}' is damaged; get it again with 'dvc pull --force'") from error


def load_weights(folder: str | Path) -> tuple[dict[str, Tensor], WeightsCard]:
    """Read what `save_weights` wrote.

    Returns:
        The state dict on the CPU, floating-point tensors as float32, and the card.

    Raises:
        ReinvertError: a file is missing or is not the one the card describes.
    """
    import safetensors.torch

    folder = Path(folder)
    card = load_card(folder)
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise ReinvertError(f"'{path}' is missing; get it with 'dvc pull' or train it")
    found = sha256_of(path)
    if found != card.sha256:
        raise ReinvertError(
            f"'{path}' was altered: sha256 {found[:12]}..., its card says {card.sha256[:12]}...; "
            "get it again with 'dvc pull --force'"
        )
    return decode(safetensors.torch.load_file(path, device="cpu")), card
