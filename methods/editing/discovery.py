"""From a generator and its labelled samples to directions: what each finder proposes, and which proposals get a name.

InterFaceGAN is told which attributes to look for. GANSpace and SeFa are not: their authors looked at pictures and named
what they saw. Here the domain's judges look: every component, applied to every range of layers, is a candidate; it is
named after the attribute that it changes most in units of that attribute's own spread and turned to raise it, and for
each name the candidate is kept that changes its own attribute by most more than any other. Whether a name is right is
measured on other samples (the stage `directions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from core.errors import ReinvertError
from core.registry import unknown_name
from methods.editing import ganspace, interfacegan, sefa
from methods.editing.direction_set import Direction
from methods.editing.directions import with_fixed_sign
from methods.editing.labelled_samples import LabelledSamples
from methods.networks.stylegan2 import Generator

Rows = Mapping[str, tuple[int, int]]
"""Ranges of styles by name: the first and the one after the last."""


def deviation_along(codes: Tensor, vector: Tensor) -> float:
    """Standard deviation of codes (N, D) along a unit vector (D,)."""
    return float((codes.double() @ vector.double()).std())


@dataclass(frozen=True)
class Boundaries:
    """What InterFaceGAN found: directions, and the validation accuracy of each before any conditions."""

    directions: tuple[Direction, ...]
    accuracies: dict[str, float | None]


def boundaries(
    samples: LabelledSamples,
    wanted: Mapping[str, Sequence[str]],
    chosen: float,
    seed: int,
    deviations: float,
    styles: int,
) -> Boundaries:
    """InterFaceGAN: a direction for every attribute wanted, without what it shares with others.

    Args:
        samples: the generator's labelled samples.
        wanted: attribute -> attributes that it should leave alone (conditional projection).
        chosen: share of the samples taken from either end of an attribute.
        seed: of the split into training and validation.
        deviations: standard deviations of w along a direction that make one gamma.
        styles: of the generator; all are moved.

    Raises:
        ReinvertError: an attribute nobody has labelled.
    """
    normals: dict[str, Tensor] = {}
    accuracies: dict[str, float | None] = {}
    for name in dict.fromkeys([*wanted, *(other for others in wanted.values() for other in others)]):
        if name not in samples.scores:
            raise unknown_name("attribute", name, samples.scores)
        found = interfacegan.train_boundary(samples.codes, samples.scores[name], chosen, seed=seed)
        normals[name], accuracies[name] = found.normal, found.accuracy
    directions = []
    for name, others in wanted.items():
        vector = interfacegan.condition(normals[name], [normals[other] for other in others])[0]
        unit = deviations * deviation_along(samples.codes, vector)
        directions.append(Direction(name, "interfacegan", name, vector, unit, (0, styles)))
    return Boundaries(tuple(directions), {name: accuracies[name] for name in wanted})


def components(codes: Tensor, count: int, rows: Rows, deviations: float) -> list[Direction]:
    """GANSpace: the first principal components of W, each applied to each range of styles."""
    found = ganspace.exact_components(codes, count)
    vectors = with_fixed_sign(found.directions)
    return [
        Direction(f"ganspace-{number}-{name}", "ganspace", "", vectors[number].float(),
                  deviations * float(found.deviations[number]), span, number)
        for number in range(count) for name, span in rows.items()
    ]  # fmt: skip


def eigenvectors(generator: Generator, codes: Tensor, count: int, rows: Rows, deviations: float) -> list[Direction]:
    """SeFa: for each range of styles the directions that its layers answer to most, in the closed form.

    The style weights of row k are those of convolution k, of the last row those of the last RGB layer.
    """
    found = []
    for name, (start, end) in rows.items():
        _, vectors = sefa.factorize(sefa.style_weights(generator, range(start, end)))
        for number in range(count):
            vector = vectors[number].float()
            unit = deviations * deviation_along(codes, vector)
            found.append(Direction(f"sefa-{number}-{name}", "sefa", "", vector, unit, (start, end), number))
    return found


def named(
    candidates: Sequence[Direction], effects: Sequence[Mapping[str, float]], minimum: float, count: int, prefix: str
) -> list[Direction]:
    """The candidates that do one thing, called `prefix`-1, -2, ... by how much more they do of it than of any other.

    A ratio would prefer directions that change next to nothing, and nothing else.

    Args:
        candidates: directions without attributes.
        effects: of each, the standardised change of every attribute from the lowest gamma to the highest.
        minimum: a name needs at least as large an effect.
        count: how many to keep, at most; fewer where candidates agree on what they change.
        prefix: of the names.

    Raises:
        ReinvertError: no candidate changes anything.
    """
    best: dict[str, tuple[float, Direction]] = {}
    for candidate, effect in zip(candidates, effects, strict=True):
        own = max(effect, key=lambda name: abs(effect[name]))
        score = abs(effect[own]) - max((abs(other) for name, other in effect.items() if name != own), default=0.0)
        if abs(effect[own]) >= minimum and (own not in best or score > best[own][0]):
            vector = candidate.vector if effect[own] > 0 else -candidate.vector
            best[own] = score, replace(candidate, attribute=own, vector=vector)
    if not best:
        raise ReinvertError(f"no direction of {prefix} changes an attribute by {minimum:g}; lower 'minimum_effect'")
    ordered = sorted(best.values(), key=lambda entry: -entry[0])[:count]
    return [replace(found, name=f"{prefix}-{place}") for place, (_, found) in enumerate(ordered, 1)]


def moved_styles(codes: Tensor, direction: Direction, gammas: Sequence[float], styles: int) -> Tensor:
    """W codes (n, D) as W+ styles at every gamma: (gammas, n, styles, D)."""
    offsets = direction.of_styles(styles).to(codes)
    repeated = codes[:, None].expand(-1, styles, -1)
    return torch.stack([repeated + gamma * offsets for gamma in gammas])
