"""What pickles of networks and arrays are made of, rebuilt from checked arguments: `CALLS` lists all that can be asked.

`methods.official.pickles` runs the pickle's instructions; whenever one of them calls something, the function that
stands in for it here is run. None of them looks anything up by name, and none allocates more than the file holds.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.official.layout import RefusedError
from methods.official.torch_files import load_weights_only

_NUMBER_KINDS = "biuf"
_BYTE_ORDERS = ("<", ">", "=", "|")


@dataclass(frozen=True)
class Name:
    """A global that a pickle names, such as ``dnnlib.util.EasyDict``; never looked up."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:120]


@dataclass
class NetworkObject:
    """An object of one of NVIDIA's persistent classes, without the source of its class.

    Attributes:
        class_name: such as "Generator".
        state: its attributes, those of ``torch.nn.Module`` among them (``_parameters``, ``_buffers``, ``_modules``).
    """

    class_name: str
    state: dict[Any, Any]


@dataclass
class NumberType:
    """A numpy dtype, whose byte order is told after it was made."""

    dtype: np.dtype[Any]


@dataclass
class Array:
    """A numpy array, whose content is told after it was made; one object in an array without axes: that object."""

    value: Any = None


@dataclass
class _Storage:
    """The numbers behind a tensor."""

    numbers: torch.UntypedStorage
    dtype: torch.dtype


def malformed(what: str) -> RefusedError:
    """The refusal of a pickle that is no instance of what it claims."""
    return RefusedError(f"builds {what} from what cannot be one, and was not read; get the original file")


def key(value: Any) -> Any:
    """A key of a dictionary or set: hashing anything nested could be made to run out of stack."""
    if not isinstance(value, (str, int, float, bytes)) and value is not None:
        raise RefusedError("has keys that are no texts or numbers, and was not read; get the original file")
    return value


def _ordered_dictionary(*arguments: Any) -> dict[Any, Any]:
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or not isinstance(pairs, list):
        raise malformed("a dictionary")
    made: dict[Any, Any] = {}
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise malformed("a dictionary")
        made[key(pair[0])] = pair[1]
    return made


def _empty_dictionary() -> dict[Any, Any]:
    return {}


def _set(items: Any) -> set[Any]:
    if not isinstance(items, list):
        raise malformed("a set")
    return {key(item) for item in items}


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes in pickles of protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise malformed("bytes")
    return text.encode("latin1")


def _network_object(meta: Any) -> NetworkObject:
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise malformed("a network")
    name, state = meta.get("class_name"), meta.get("state")
    if not isinstance(name, str) or not isinstance(state, dict):
        raise malformed("a network")
    return NetworkObject(name, state)


def _storage(data: Any) -> _Storage:
    """A storage, in PyTorch's old file format."""
    if not isinstance(data, bytes):
        raise malformed("a tensor")
    try:
        found = load_weights_only(io.BytesIO(data))
    except RefusedError as refusal:
        raise malformed("a tensor") from refusal
    if not isinstance(found, torch.storage.TypedStorage):
        raise malformed("a tensor")
    return _Storage(found._untyped_storage, found.dtype)


def _natural_numbers(values: Any) -> list[int]:
    if not isinstance(values, tuple) or not all(type(value) is int and 0 <= value < 2**48 for value in values):
        raise malformed("a tensor")
    return list(values)


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_rest: Any) -> Tensor:
    """A tensor inside its storage; nothing is made larger than what is there."""
    sizes, strides = _natural_numbers(size), _natural_numbers(stride)
    if not isinstance(storage, _Storage) or len(sizes) != len(strides) or len(sizes) > 8:
        raise malformed("a tensor")
    (start,) = _natural_numbers((offset,))
    values, last = 1, start
    for length, step in zip(sizes, strides, strict=True):
        values *= length
        last += (length - 1) * step
    available = storage.numbers.nbytes() // storage.dtype.itemsize
    if values and (last >= available or values > available):
        raise malformed("a tensor")
    return torch.empty(0, dtype=storage.dtype).set_(storage.numbers, start, sizes, strides)


def _parameter(data: Any, *_rest: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise malformed("a parameter")
    return data


def _number_type(code: Any, *_rest: Any) -> NumberType:
    if not isinstance(code, str) or len(code) > 3 or code[:1] not in (*_NUMBER_KINDS, "O"):
        raise malformed("a number type")
    return NumberType(np.dtype(code))


def _array(kind: Any, *_rest: Any) -> Array:
    if kind != Name("numpy", "ndarray"):
        raise malformed("an array")
    return Array()


def _numbers(kind: Any, data: Any, sizes: list[int]) -> NDArray[Any]:
    if not isinstance(kind, NumberType) or not isinstance(data, bytes) or kind.dtype.hasobject:
        raise malformed("an array")
    values = 1
    for size in sizes:
        values *= size
    if values * kind.dtype.itemsize != len(data) or len(sizes) > 8:
        raise malformed("an array")
    return np.frombuffer(data, kind.dtype).reshape(sizes).copy()


def _array_of_buffer(data: Any, kind: Any, shape: Any, order: Any, *_rest: Any) -> Array:
    """An array in pickles of protocol 5."""
    sizes = _natural_numbers(shape)
    if order == "F":
        return Array(_numbers(kind, _bytes_of(data), sizes[::-1]).T)
    return Array(_numbers(kind, _bytes_of(data), sizes))


def _bytes_of(data: Any) -> Any:
    """Bytes, also where the pickle says that they may be changed."""
    return bytes(data) if isinstance(data, bytearray) else data


def _number(kind: Any, data: Any) -> int | float | bool:
    value: int | float | bool = _numbers(kind, data, []).item()
    return value


_NUMPY_CORES = ("numpy.core", "numpy._core")
CALLS: dict[Name, Callable[..., Any]] = {
    Name("collections", "OrderedDict"): _ordered_dictionary,
    Name("dnnlib.util", "EasyDict"): _empty_dictionary,
    Name("builtins", "set"): _set,
    Name("__builtin__", "set"): _set,
    Name("_codecs", "encode"): _encoded,
    Name("torch_utils.persistence", "_reconstruct_persistent_obj"): _network_object,
    Name("torch.storage", "_load_from_bytes"): _storage,
    Name("torch._utils", "_rebuild_tensor_v2"): _tensor,
    Name("torch._utils", "_rebuild_parameter"): _parameter,
    Name("numpy", "dtype"): _number_type,
    **{Name(f"{core}.multiarray", "_reconstruct"): _array for core in _NUMPY_CORES},
    **{Name(f"{core}.multiarray", "scalar"): _number for core in _NUMPY_CORES},
    **{Name(f"{core}.numeric", "_frombuffer"): _array_of_buffer for core in _NUMPY_CORES},
}
"""What a pickle may call, and what happens then. EasyDict is a dictionary class of NVIDIA's."""

MENTIONED = {Name("numpy", "ndarray")}
"""Further names that may be arguments."""


def called(function: Any, arguments: Any) -> Any:
    """The result of a call that a pickle asks for."""
    if not isinstance(function, Name) or function not in CALLS or not isinstance(arguments, tuple):
        raise RefusedError("calls what is no function, and was not read; get the original file")
    try:
        return CALLS[function](*arguments)
    except (TypeError, ValueError) as error:  # the wrong number or kind of arguments
        raise malformed(f"'{function}'") from error


def set_state(target: Any, state: Any) -> None:
    """Tell an array its content or a number type its byte order; nothing else takes a state."""
    if isinstance(target, NumberType) and isinstance(state, tuple) and len(state) > 1 and state[1] in _BYTE_ORDERS:
        if state[1] in ("<", ">"):
            target.dtype = target.dtype.newbyteorder(state[1])
    elif isinstance(target, Array) and isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, by_columns, data = state
        sizes = _natural_numbers(shape)
        if isinstance(data, list):
            if sizes or len(data) != 1:
                raise malformed("an array")
            target.value = data[0]
        elif by_columns is True:
            target.value = _numbers(kind, data, sizes[::-1]).T
        else:
            target.value = _numbers(kind, data, sizes)
    else:
        raise RefusedError("sets the state of what has none, and was not read; get the original file")
