"""Codes of a generator's own samples with what judges read off their images: what editing directions are learnt from.

InterFaceGAN (arXiv 1907.10786, section 4.1) draws 500,000 codes and scores their images with attribute predictors; the
embedded domains get by with some ten thousand. Codes are kept as their seed, which a generator turns into codes in no
time; it is the labels that take minutes, and they make a file small enough to be handed round.
`interfacegan.train_boundary(samples.codes, samples.scores[name])` takes them as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.errors import ReinvertError
from core.files import atomic_write_npz

_SCORE = "score_"


@dataclass(frozen=True)
class LabelledSamples:
    """Samples of one generator.

    Attributes:
        codes: (N, D) float32 in W, from seeded z without truncation.
        scores: (N,) float32 by attribute, in the attribute's own unit.
        generator_sha256: of the weights that drew the images; codes of another generator mean nothing to it.
        seed: of the z that became the codes.
    """

    codes: Tensor
    scores: Mapping[str, Tensor]
    generator_sha256: str
    seed: int

    def save(self, path: Path) -> None:
        """Write one npz file, whole or not at all."""
        arrays = {"seed": np.array(self.seed), "generator_sha256": np.array(self.generator_sha256)}
        arrays |= {_SCORE + name: score.numpy() for name, score in self.scores.items()}
        atomic_write_npz(path, arrays)

    @classmethod
    def load(cls, path: Path, generator_sha256: str, codes: Callable[[int, int], Tensor]) -> LabelledSamples:
        """Read what `save` wrote.

        Args:
            path: the file.
            generator_sha256: of the generator at hand.
            codes: count and seed -> the codes (N, D) that it draws.

        Raises:
            ReinvertError: the file is missing, is not such a file, or is of another generator.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                seed, of = int(arrays["seed"]), str(arrays["generator_sha256"])
                scores = {
                    name.removeprefix(_SCORE): torch.from_numpy(arrays[name])
                    for name in arrays.files
                    if name.startswith(_SCORE)
                }
        except FileNotFoundError as error:
            raise ReinvertError(f"'{path}' is missing; make it with 'reinvert label samples'") from error
        except (OSError, ValueError, KeyError) as error:
            raise ReinvertError(f"'{path}' holds no labelled samples; make it with 'reinvert label samples'") from error
        if of != generator_sha256:
            raise ReinvertError(f"'{path}' is of another generator; make it again with 'reinvert label samples'")
        count = len(next(iter(scores.values()), ()))
        return cls(codes(count, seed).cpu(), scores, of, seed)
