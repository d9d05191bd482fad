"""The files of applications, as typed values. What is missing stays empty, so that its table or figure is left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import ReinvertError

FOLDER = "applications"
"""Below results/."""


@dataclass(frozen=True)
class Applied:
    """What an application was measured to do on a domain.

    Attributes:
        application: its name, "deep-hiding", "face-swapping" or "videos".
        domain: the images.
        record: <application>.json.
        pictures: what <application>.npz holds; empty where it is not there, because it is not in git.
    """

    application: str
    domain: str
    record: Mapping[str, Any]
    pictures: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def cell(self, metric: str, setting: str = "", method: str = "") -> Mapping[str, Any]:
        """The number of a metric with its interval and counts; of the first method where none is named.

        Raises:
            KeyError: it was not measured.
        """
        found: Mapping[str, Any]
        for found in self.record["cells"]:
            if (found["metric"], found["setting"]) == (metric, setting) and method in ("", found["method"]):
                return found
        raise KeyError(f"{metric} {setting} {method}")


def read_applied(results: Path) -> list[Applied]:
    """Everything below results/applications, in the order of application and of domain.

    Raises:
        ReinvertError: a file is damaged.
    """
    found = []
    for path in sorted((results / FOLDER).glob("*/*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            applied = Applied(record["application"], record["domain"], record, _pictures(path.with_suffix(".npz")))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ReinvertError(f"'{path}' is damaged ({error!r}); run 'reinvert apply' for it again") from error
        found.append(applied)
    return sorted(found, key=lambda one: (one.application, one.domain != "faces", one.domain))


def _pictures(path: Path) -> dict[str, NDArray[Any]]:
    if not path.is_file():  # numbers are in git, pictures are not
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
