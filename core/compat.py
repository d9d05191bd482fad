"""The one place that works around library builds that do not fit together.

torch's CPU build with the package index's torchvision fails at `import torchvision` with "operator torchvision::nms
does not exist": its compiled half was built for another torch, and its Python half registers shapes for operators that
half would have declared. Declaring the two operators is enough for all that is used here (models and transforms).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

# Declarations vanish with the Library object, so it is kept for the life of the process.
_kept_alive: list[Any] = []


def import_torchvision() -> ModuleType:
    """Import torchvision, declaring its two missing operators where they are missing.

    Call this before importing lpips, pytorch_fid or torch_fidelity, which import torchvision themselves.
    """
    if "torchvision" in sys.modules:
        return sys.modules["torchvision"]
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    import torch

    # The failed import leaves half-initialised modules behind.
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept_alive.append(library)
    return importlib.import_module("torchvision")
