"""In the place of the package face-alignment 1.5, whose weights cannot be had here: the same calls, faces given.

The arguments are those of the package's source; what it computes from pixels is not tested anywhere here.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from enum import IntEnum
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from metrics import landmarks


class LandmarksType(IntEnum):
    TWO_D = 1
    TWO_HALF_D = 2
    THREE_D = 3


def installed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, faces: list[np.ndarray] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Put the package where Python looks, with weights in torch.hub's folder, in which every photo shows `faces`.

    Returns:
        What the package is given, filled when it is called, and the hashes of the weights.
    """
    given: dict[str, Any] = {}

    class FaceAlignment:
        def __init__(
            self, landmarks_type, network_size=4, device="cuda", dtype=torch.float32, flip_input=True,
            face_detector="sfd", face_detector_kwargs=None, verbose=False, compile=True, max_batch_size=1,
        ) -> None:  # fmt: skip
            given.update(kind=landmarks_type, device=device, compile=compile, detector=face_detector)
            given["detector file"] = Path(face_detector_kwargs["path_to_detector"])

        def get_landmarks_from_image(
            self, image_or_path, detected_faces=None, return_bboxes=False, return_landmark_score=False
        ) -> list[np.ndarray] | None:
            given["image"] = image_or_path
            if not faces:
                warnings.warn("No faces were detected.", stacklevel=1)
            return faces

    module = ModuleType(landmarks.PACKAGE)
    module.FaceAlignment, module.LandmarksType = FaceAlignment, LandmarksType  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, landmarks.PACKAGE, module)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    (folder / "checkpoints").mkdir(parents=True)
    hashes = {}
    for name in landmarks.SHA256:
        (folder / "checkpoints" / name).write_bytes(name.encode())
        hashes[name] = hashlib.sha256(name.encode()).hexdigest()
    return given, hashes
