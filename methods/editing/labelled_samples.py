"""Codes of a generator's own samples with what judges read off their images: what editing directions are learnt from.

InterFaceGAN (arXiv 1907.10786, section 4.1) draws 500,000 codes and scores their images with attribute predictors; the
embedded domains get by with some ten thousand. `interfacegan.train_boundary(samples.codes, samples.scores[name])`
takes them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_path

_SCORE = "score_"


@dataclass(frozen=True)
class LabelledSamples:
    """Samples of one generator.

    Attributes:
        codes: (N, D) float32 in W, from seeded z without truncation.
        scores: (N,) float32 by attribute, in the attribute's own unit.
        generator_sha256: of the weights that drew the images; codes of another generator mean nothing to it.
    """

    codes: Tensor
    scores: Mapping[str, Tensor]
    generator_sha256: str

    def save(self, path: Path) -> None:
        """Write one npz file, whole or not at all."""
        arrays = {"codes": self.codes.numpy(), "generator_sha256": np.array(self.generator_sha256)}
        arrays |= {_SCORE + name: score.numpy() for name, score in self.scores.items()}
        with atomic_path(path) as temporary:
            np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> LabelledSamples:
        """Read what `save` wrote; ReinvertError where the file is missing or not such a file."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    torch.from_numpy(arrays["codes"]),
                    {name.removeprefix(_SCORE): torch.from_numpy(arrays[name]) for name in arrays.files
                     if name.startswith(_SCORE)},
                    str(arrays["generator_sha256"]),
                )  # fmt: skip
        except FileNotFoundError as error:
            raise ReinvertError(f"'{path}' is missing; make it with 'reinvert label samples'") from error
        except (OSError, ValueError, KeyError) as error:
            raise ReinvertError(f"'{path}' holds no labelled samples; make it with 'reinvert label samples'") from error
