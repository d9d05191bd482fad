"""What every protocol chooses and computes on small fixed input, kept in protocol_numbers.json.

    python -m tests.metrics.protocol_numbers

writes the numbers of new protocols and of those whose version was raised, and refuses where numbers changed without
that: scores of one id must compare for ever.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from metrics import protocols
from metrics.measure import distance, feature_extractor, prepare, scorer
from metrics.protocols import Protocol
from tests.metrics.stand_ins import damaged, networks, reduced, scene, waves

FILE = Path(__file__).with_suffix(".json")
LARGEST = 176
"""Pixels per side; the size of a protocol is one of its choices and kept as such."""
RELATIVE, ABSOLUTE = 1e-4, 1e-6
"""Room for float32 sums in another order and for another JPEG decoder; a changed choice moves numbers by more."""
NOT_NUMBERS = ("note", "assumed", "version", "suite")


def choices(protocol: Protocol) -> dict[str, Any]:
    """All that changes a number, as JSON has it."""
    kept = {name: value for name, value in asdict(protocol).items() if name not in NOT_NUMBERS}
    decoded: dict[str, Any] = json.loads(json.dumps(kept))
    return decoded


def numbers(protocol: Protocol, given: dict[str, torch.nn.Module]) -> list[float]:
    """Scores of a damaged picture, of a failed and of a faceless one; or a distance between 24 features and 20."""
    small = reduced(protocol, LARGEST)
    size = small.size or 64
    source = 2 * size if small.reduction != "none" else 96 if small.resize != "none" else size
    real = scene(source)
    if not protocol.per_image:
        extract = feature_extractor(small, given)
        first = [extract(real, True)[0], extract(damaged(real), False)[0]]
        spread = waves((44, len(first[0])), 1.9)
        fake = prepare(small, damaged(real), is_real=False)
        return [
            float(fake.double().mean()),
            *(float(part.double().mean()) for part in first),
            distance(small, first[0] + spread[:24], first[1] + 1.3 * spread[24:]),
        ]
    broken = damaged(real)
    broken[0, 0, 3, 3] = torch.nan
    flat = torch.full_like(real, 0.25)
    found = scorer(small, given)(real.repeat(3, 1, 1, 1), torch.cat([damaged(real), broken, flat]))
    # JSON has no NaN; a dropped score is None.
    return [None if value != value else value for value in found.values.tolist()]  # type: ignore[misc]


def computed() -> dict[str, dict[str, Any]]:
    """By protocol name: version, choices, numbers."""
    given = networks()
    return {
        protocol.name: {
            "version": protocol.version,
            "choices": choices(protocol),
            "numbers": numbers(protocol, given),
        }
        for protocol in protocols.everything()
    }


def same(first: list[float | None], second: list[float | None]) -> bool:
    """Whether numbers are equal but for rounding."""
    return len(first) == len(second) and all(
        a is None and b is None if a is None or b is None else abs(a - b) <= ABSOLUTE + RELATIVE * max(abs(a), abs(b))
        for a, b in zip(first, second, strict=True)
    )


def complaints(stored: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What changed without a new version, and what is not kept yet."""
    found = [f"{name} is gone; its scores can no longer be made" for name in stored if name not in now]
    for name, entry in now.items():
        kept = stored.get(name)
        if kept is None:
            found.append(f"{name} is not kept yet; run python -m tests.metrics.protocol_numbers")
        elif kept["version"] > entry["version"]:
            found.append(f"{name} went back to version {entry['version']}")
        elif kept["version"] < entry["version"]:
            found.append(f"{name} has a new version; run python -m tests.metrics.protocol_numbers")
        elif kept["choices"] != entry["choices"]:
            changed = sorted(key for key, value in entry["choices"].items() if kept["choices"].get(key) != value)
            found.append(f"{name} changed its {', '.join(changed)} without a new version")
        elif not same(kept["numbers"], entry["numbers"]):
            found.append(f"{name} gives {entry['numbers']}, was {kept['numbers']}, without a new version")
    return found


def main() -> None:
    """Keep what may be kept."""
    stored = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}
    now = computed()
    wrong = [line for line in complaints(stored, now) if "run python -m" not in line]
    if wrong:
        raise SystemExit("\n".join(wrong))
    lines = [f"{json.dumps(name)}: {json.dumps(entry, sort_keys=True)}" for name, entry in sorted(now.items())]
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
