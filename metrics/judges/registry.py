"""Network classes by the name a weights card uses."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from core.registry import Registry

ARCHITECTURES: Registry[Callable[..., nn.Module]] = Registry("judge architecture")
