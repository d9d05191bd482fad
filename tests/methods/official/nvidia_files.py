"""NVIDIA's network pickles as their trainer writes them: persistent classes with their source, made for the occasion.

The modules ``dnnlib.util`` and ``torch_utils.persistence`` exist while a file is written, as in NVIDIA's repository,
and not while it is read.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

MARKER = "ran"
"""The file that the embedded source would write, were it executed, in the working directory."""
SOURCE = f"open({MARKER!r}, 'w').close()\nclass Generator: pass\n"


class EasyDict(dict):
    """NVIDIA's dictionary with attributes."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def _reconstruct_persistent_obj(meta: Any) -> Any:
    raise AssertionError("the reader called NVIDIA's loader")


EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


class Persistent(nn.Module):
    """A module of a persistent class: pickled as (loader, (class name, source, state))."""

    def __init__(self, class_name: str, **attributes: Any) -> None:
        super().__init__()
        self._init_args: tuple[Any, ...] = ()
        self._init_kwargs: dict[str, Any] = {}
        for name, value in attributes.items():
            setattr(self, name, value)
        self._class_name = class_name

    def __reduce__(self) -> Any:
        state = dict(self.__dict__)
        name = state.pop("_class_name")
        meta = {"type": "class", "version": 6, "module_src": SOURCE, "class_name": name, "state": state}
        return _reconstruct_persistent_obj, (meta,), None


def module_tree(
    state: Mapping[str, Tensor], class_name: str, buffers: tuple[str, ...], **attributes: Any
) -> Persistent:
    """Modules in modules that hold a state dict in NVIDIA's names.

    Args:
        state: the state dict.
        class_name: of the outermost module.
        buffers: last parts of the names of buffers; the other tensors are parameters.
        attributes: of the outermost module.
    """
    root = Persistent(class_name, **attributes)
    for name, value in state.items():
        *path, last = name.split(".")
        module = root
        for step in path:
            if step not in module._modules:
                # StyleGAN3's modules hold numbers and arrays of numpy, whatever they are made with.
                module.add_module(step, Persistent("Layer", bandwidth=np.float64(2.5), in_size=np.array([36, 36])))
            module = module._modules[step]  # type: ignore[assignment]
        if last in buffers:
            module.register_buffer(last, value)
        else:
            module.register_parameter(last, nn.Parameter(value.clone(), requires_grad=False))
    return root


STYLEGAN2_BUFFERS = ("resample_filter", "noise_const", "w_avg")
STYLEGAN3_BUFFERS = ("transform", "freqs", "phases", "magnitude_ema", "up_filter", "down_filter", "w_avg")


def easy(**values: Any) -> EasyDict:
    return EasyDict(values)


@contextmanager
def _nvidia_modules() -> Iterator[None]:
    made = {name: ModuleType(name) for name in ("dnnlib", "dnnlib.util", "torch_utils", "torch_utils.persistence")}
    made["dnnlib.util"].EasyDict = EasyDict  # type: ignore[attr-defined]
    made["torch_utils.persistence"]._reconstruct_persistent_obj = _reconstruct_persistent_obj  # type: ignore[attr-defined]
    sys.modules |= made
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def write(path: Path, content: object, protocol: int = 4) -> Path:
    with _nvidia_modules(), path.open("wb") as stream:
        pickle.dump(content, stream, protocol=protocol)
    return path


def snapshot(generator: nn.Module, discriminator: nn.Module | None = None) -> dict[str, Any]:
    """What training writes; a copy with all parameters zero is ``G``, which is not what images are drawn with."""
    other = Persistent("Generator", z_dim=8)
    pipe = Persistent("AugmentPipe", xflip=1, p=torch.tensor(0.3), Hz_fbank=np.zeros((4, 2), np.float32))
    return {
        "training_set_kwargs": easy(class_name="training.dataset.ImageFolderDataset", path="ffhq.zip", xflip=True),
        "G": other,
        "D": discriminator,
        "G_ema": generator,
        "augment_pipe": pipe,
    }


def with_kwargs(module: Persistent, **kwargs: Any) -> Persistent:
    module._init_kwargs = easy(**kwargs)
    return module


def spread(values: Tensor) -> Tensor:
    """The same values in a storage of more, as slices have."""
    return torch.stack([values, torch.zeros_like(values)])[0]
