"""What an inversion leaves behind: everything a generator needs to draw an image again.

The union of what the inversion literature optimises or predicts: W+ styles (Abdal et al. 2019; Richardson et al. 2021),
a feature map that replaces one synthesis layer (Yao et al. 2022, Feature-Style encoder), changes of the generator's
weights per image (Dinh et al. 2022, HyperInverter; Roich et al. 2022, PTI) and noise maps. A code belongs to one
generator; it holds no image, but for what the styles of HFGI (Wang et al. 2022) failed to draw of it: every edit
consults that anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_path

_RESIDUAL = "weight_residuals."
_NOISE = "noise."


@dataclass(frozen=True, eq=False)
class Code:
    """Codes of B images; every part has the image as its first dimension.

    Attributes:
        styles: (B, L, D), one style per synthesis layer in W+; a W code repeats one style L times.
        feature: (B, C, H, W) replacing the output of synthesis layer `feature_layer`, or None.
        feature_layer: index of that layer, counted like the styles; given exactly when `feature` is.
        weight_residuals: path of a parameter of the generator's synthesis network -> (B, ...) added to it; for a
            convolution's weight (B, out, in, k, k). Or None.
        noise: one (B, 1, H, W) map per noisy layer, or None for the generator's own.
        distortion: (B, 3, H, W), image minus what the unedited styles draw, or None; for edits, no generator reads it.

    Raises:
        ReinvertError: parts whose shapes or batch sizes do not fit together.
    """

    styles: Tensor
    feature: Tensor | None = None
    feature_layer: int | None = None
    weight_residuals: dict[str, Tensor] | None = None
    noise: list[Tensor] | None = None
    distortion: Tensor | None = None

    def __post_init__(self) -> None:
        if self.styles.ndim != 3:
            raise ReinvertError(f"styles have shape {tuple(self.styles.shape)}; give (images, layers, dimensions)")
        if (self.feature is None) != (self.feature_layer is None):
            raise ReinvertError("a code has a feature or a feature layer alone; give both or neither")
        ranks = {"feature": (4,), "noise": (4,), "distortion": (4,), "weight residual": (2, 3, 4, 5)}
        for noun, part in self._parts():
            if part.ndim not in ranks[noun] or part.shape[0] != len(self):
                raise ReinvertError(
                    f"a {noun} of shape {tuple(part.shape)} does not fit {len(self)} styles; "
                    f"give {' to '.join(map(str, sorted({ranks[noun][0], ranks[noun][-1]})))} dimensions, images first"
                )

    def _parts(self) -> list[tuple[str, Tensor]]:
        parts = [("feature", self.feature)] if self.feature is not None else []
        parts += [("weight residual", residual) for residual in (self.weight_residuals or {}).values()]
        parts += [("noise", one) for one in self.noise or []]
        parts += [("distortion", self.distortion)] if self.distortion is not None else []
        return parts

    def __len__(self) -> int:
        return int(self.styles.shape[0])

    def __getitem__(self, images: slice | Tensor) -> Code:
        """The codes of a range of images, the parts being views, or of those that a tensor (N,) counts."""
        if not isinstance(images, slice) and not (isinstance(images, Tensor) and images.ndim == 1):
            raise TypeError("a code is indexed by a slice of images, such as code[2:3], or a tensor of their numbers")
        return Code(
            styles=self.styles[images],
            feature=None if self.feature is None else self.feature[images],
            feature_layer=self.feature_layer,
            weight_residuals=None
            if self.weight_residuals is None
            else {name: residual[images] for name, residual in self.weight_residuals.items()},
            noise=None if self.noise is None else [one[images] for one in self.noise],
            distortion=None if self.distortion is None else self.distortion[images],
        )

    @staticmethod
    def concatenate(codes: Sequence[Code]) -> Code:
        """The codes of all images, in order.

        Raises:
            ReinvertError: no codes, or codes with different parts (one with a feature, one without).
        """
        if not codes:
            raise ReinvertError("no codes to concatenate; give at least one")
        if len({_layout(code) for code in codes}) > 1:
            raise ReinvertError("codes with different parts cannot be concatenated; use one method for all images")
        first = codes[0]
        return Code(
            styles=torch.cat([code.styles for code in codes]),
            feature=None if first.feature is None else torch.cat(_present(code.feature for code in codes)),
            feature_layer=first.feature_layer,
            weight_residuals=None
            if first.weight_residuals is None
            else {
                name: torch.cat([(code.weight_residuals or {})[name] for code in codes])
                for name in first.weight_residuals
            },
            noise=None
            if first.noise is None
            else [torch.cat([(code.noise or [])[layer] for code in codes]) for layer in range(len(first.noise))],
            distortion=None if first.distortion is None else torch.cat(_present(code.distortion for code in codes)),
        )

    def to(self, device: str | torch.device) -> Code:
        """The same codes on another device."""
        return replace(
            self,
            styles=self.styles.to(device),
            feature=None if self.feature is None else self.feature.to(device),
            weight_residuals=None
            if self.weight_residuals is None
            else {name: residual.to(device) for name, residual in self.weight_residuals.items()},
            noise=None if self.noise is None else [one.to(device) for one in self.noise],
            distortion=None if self.distortion is None else self.distortion.to(device),
        )

    def save(self, path: str | Path) -> None:
        """Write the code as one safetensors file, whole or not at all."""
        tensors = {"styles": self.styles}
        if self.feature is not None:
            tensors["feature"] = self.feature
        if self.distortion is not None:
            tensors["distortion"] = self.distortion
        tensors.update({f"{_RESIDUAL}{name}": value for name, value in (self.weight_residuals or {}).items()})
        tensors.update({f"{_NOISE}{layer}": value for layer, value in enumerate(self.noise or [])})
        # Cloned, because safetensors refuses views that share memory (a W code expanded to W+, slices).
        stored = {
            key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()
        }
        metadata = {"format": "reinvert-code/1"}
        if self.feature_layer is not None:
            metadata["feature_layer"] = str(self.feature_layer)
        with atomic_path(path) as temporary:
            temporary.write_bytes(safetensors.torch.save(stored, metadata))

    @staticmethod
    def load(path: str | Path) -> Code:
        """Read what `save` wrote, on the CPU.

        Raises:
            ReinvertError: the file is missing, damaged or no code.
        """
        try:
            with safetensors.safe_open(str(path), framework="pt") as handle:
                metadata = handle.metadata() or {}
                tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 - not a dict
        except FileNotFoundError as error:
            raise ReinvertError(f"'{path}' not found; name a file written by an inversion") from error
        except (safetensors.SafetensorError, OSError) as error:
            raise ReinvertError(f"'{path}' is not a code or is damaged; invert the image again") from error
        if metadata.get("format") != "reinvert-code/1" or "styles" not in tensors:
            raise ReinvertError(f"'{path}' holds no code; name a file written by an inversion")
        residuals = {key.removeprefix(_RESIDUAL): tensors[key] for key in tensors if key.startswith(_RESIDUAL)}
        layers = sorted(int(key.removeprefix(_NOISE)) for key in tensors if key.startswith(_NOISE))
        return Code(
            styles=tensors["styles"],
            feature=tensors.get("feature"),
            feature_layer=int(metadata["feature_layer"]) if "feature_layer" in metadata else None,
            weight_residuals=residuals or None,
            noise=[tensors[f"{_NOISE}{layer}"] for layer in layers] or None,
            distortion=tensors.get("distortion"),
        )


def _present(parts: Iterable[Tensor | None]) -> list[Tensor]:
    return [part for part in parts if part is not None]


def _layout(code: Code) -> tuple[object, ...]:
    """What has to agree for codes to be joined: the parts, not the number of images."""
    return (
        code.styles.shape[1:],
        None if code.feature is None else (code.feature_layer, code.feature.shape[1:]),
        None
        if code.weight_residuals is None
        else tuple((name, residual.shape[1:]) for name, residual in sorted(code.weight_residuals.items())),
        None if code.noise is None else tuple(one.shape[1:] for one in code.noise),
        None if code.distortion is None else code.distortion.shape[1:],
    )
