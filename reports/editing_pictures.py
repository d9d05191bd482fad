"""Pictures of edits: samples moved along a direction, every method's edits, style mixing, interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from reports.pictures import arrange
from reports.read import Pixels
from reports.read_edits import Directions, Edits

ROWS = 12
"""Methods in one picture, so that two pictures fit beside each other on a page and a face can be judged."""
_LETTERS = 42
_LETTERS_OF_WIDE = 30


def gamma_words(gamma: float) -> str:
    """A strength as a caption, with a proper minus sign."""
    return "0" if gamma == 0 else f"{gamma:+g}".replace("-", "−")


def _write(
    folder: Path,
    identifier: str,
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    captions: Sequence[str],
    letters: int = _LETTERS,
) -> None:
    arrange(rows, [words.splitlines() for words in captions], letters).save(folder, identifier)


def draw_directions(found: Directions, folder: Path) -> set[str]:
    """A picture per direction: one sample per row, one gamma per column. Returns what was drawn."""
    drawn = set()
    captions = [gamma_words(gamma) for gamma in found.measured.get("gammas", [])]
    for name in found.entries:
        if name in found.strips:
            identifier = f"direction-{found.domain}-{name}"
            _write(folder, identifier, [("", list(row)) for row in found.strips[name]], captions)
            drawn.add(identifier)
    return drawn


def draw_edits(domain: str, runs: Sequence[Edits], folder: Path) -> set[str]:
    """Pictures of the edits of all runs of a domain, one method per row. Returns what was drawn."""
    shown = [run for run in runs if run.pictures]
    drawn: set[str] = set()
    count = -(-len(shown) // ROWS)
    for number in range(count):
        part = shown[len(shown) * number // count : len(shown) * (number + 1) // count]
        drawn |= _draw_part(domain, part, folder, number + 1)
    return drawn


def _draw_part(domain: str, shown: Sequence[Edits], folder: Path, number: int) -> set[str]:
    drawn = set()
    gammas = [float(gamma) for gamma in shown[0].measured["gammas"]]
    ends = [0, gammas.index(0.0), len(gammas) - 1]
    inputs = shown[0].pictures["inputs"]
    heads = ["input", *(gamma_words(gammas[place]) for place in ends)]
    for name in shown[0].measured["directions"]:
        rows = [
            (run.method, [image for index, strip in enumerate(run.pictures[f"edit_{name}"])
                          for image in (inputs[index], *(strip[place] for place in ends))])
            for run in shown
        ]  # fmt: skip
        _write(folder, f"edits-{domain}-{name}-{number}", rows, heads * len(inputs), _LETTERS_OF_WIDE)
        drawn.add(f"edits-{domain}-{name}-{number}")
    rows = [(run.method, list(run.pictures["mixing"][0])) for run in shown]
    _write(folder, f"mixing-{domain}-{number}", rows, ["A", "A,\nlooks of B", "B,\nlooks of A", "B"])
    words = {"interpolation_code": "code", "interpolation_code_and_weights": "code + rest"}
    rows = [
        (f"{run.method}, {words[way]}" if "interpolation_code_and_weights" in run.pictures else run.method,
         list(run.pictures[way][0]))
        for run in shown for way in words if way in run.pictures
    ]  # fmt: skip
    steps = len(rows[0][1])
    _write(folder, f"interpolation-{domain}-{number}", rows, ["A", *([""] * (steps - 2)), "B"])
    return {*drawn, f"mixing-{domain}-{number}", f"interpolation-{domain}-{number}"}
