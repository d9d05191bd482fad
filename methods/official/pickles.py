"""An interpreter for pickles that builds data and cannot do anything else.

NVIDIA's networks (stylegan2-ada-pytorch, stylegan3) are pickles of objects that carry the source code of their classes,
which their own loader executes; numpy stores dictionaries of arrays as pickles as well (MTCNN). A pickle is a program
for a stack machine. Python's own ``Unpickler`` can be told which names to accept, but still calls what it accepted and
sets attributes of it. Here is another machine for the same programs:

- it knows the instructions that such files use and refuses every other one (`_EFFECTS`): no INST, OBJ, NEWOBJ_EX, no
  persistent ids, no extension registry, no buffers, nothing of the text protocols;
- a name never becomes the thing it names: it stays a `Name`, and only the names in `pickle_values.CALLS` can be
  "called", which runs a function of ours on checked arguments;
- NVIDIA's objects become a `NetworkObject`: class name and state, no source;
- state is set (BUILD) on arrays and number types of numpy only;
- keys are texts or numbers, the number of instructions is bounded, and tensors are bounded by what is stored of them:
  what a pickle costs is bounded by its length.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import torch
from torch import Tensor

from methods.official.layout import RefusedError
from methods.official.pickle_values import (
    CALLS,
    MENTIONED,
    Array,
    Name,
    NetworkObject,
    NumberType,
    called,
    key,
    malformed,
    set_state,
)

MAX_INSTRUCTIONS = 3_000_000
"""NVIDIA's largest networks take some ten thousand."""
MAX_VALUES, MAX_DEPTH = 100_000, 100
"""Of content once read: lists inside lists by reference can stand for more than any memory holds."""
_DAMAGED = "is a damaged pickle; download it again"


class _Machine:
    """Stack, positions of marks in it, memory."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memory: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, number: int) -> tuple[Any, ...]:
        """The last values, in the order they were pushed; never from below the last mark."""
        if len(self.stack) - number < (self.marks[-1] if self.marks else 0):
            raise RefusedError(_DAMAGED)
        values = tuple(self.stack[len(self.stack) - number :])
        del self.stack[len(self.stack) - number :]
        return values

    def top(self) -> Any:
        (value,) = self.take(1)
        self.push(value)
        return value

    def since_mark(self) -> tuple[Any, ...]:
        if not self.marks:
            raise RefusedError(_DAMAGED)
        values = self.take(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def remember(self, place: int) -> None:
        self.memory[place] = self.top()

    def recall(self, place: int) -> None:
        if place not in self.memory:
            raise RefusedError(_DAMAGED)
        self.push(self.memory[place])


def _name(module: Any, name: Any) -> Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise RefusedError(_DAMAGED)
    found = Name(module, name)
    if module.startswith("dnnlib.tflib"):
        raise RefusedError("is a TensorFlow pickle; convert it with NVIDIA's legacy.py, or get the PyTorch network")
    if found not in CALLS and found not in MENTIONED:
        raise RefusedError(f"asks for '{found}', which holds no weights, and was not read; get the original file")
    return found


def _set_items(target: Any, items: tuple[Any, ...]) -> None:
    if not isinstance(target, dict) or len(items) % 2:
        raise malformed("a dictionary")
    for name, value in zip(items[::2], items[1::2], strict=True):
        target[key(name)] = value


def _append(target: Any, items: tuple[Any, ...]) -> None:
    if not isinstance(target, list):
        raise malformed("a list")
    target.extend(items)


def _add(target: Any, items: tuple[Any, ...]) -> None:
    if not isinstance(target, set):
        raise malformed("a set")
    target.update(key(item) for item in items)


def _constant(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(make())


def _tuple_of(number: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(machine.take(number))


def _change(
    change: Callable[[Any, tuple[Any, ...]], None], number: int | None = None
) -> Callable[[_Machine, Any], None]:
    """Takes ``number`` values, or those since the mark, and changes what is below them."""

    def effect(machine: _Machine, _argument: Any) -> None:
        items = machine.since_mark() if number is None else machine.take(number)
        change(machine.top(), items)

    return effect


_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_EFFECTS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    **dict.fromkeys(_LITERALS, lambda machine, argument: machine.push(argument)),
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(dict),
    "EMPTY_SET": _constant(set),
    "EMPTY_TUPLE": _constant(tuple),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "TUPLE": lambda machine, _: machine.push(machine.since_mark()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": _change(_append, 1),
    "APPENDS": _change(_append),
    "SETITEM": _change(_set_items, 2),
    "SETITEMS": _change(_set_items),
    "ADDITEMS": _change(_add),
    "BUILD": _change(lambda target, state: set_state(target, state[0]), 1),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memory)),
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": lambda machine, argument: machine.push(_name(*argument.split(" ", 1))),
    "STACK_GLOBAL": lambda machine, _: machine.push(_name(*machine.take(2))),
    "REDUCE": lambda machine, _: machine.push(called(*machine.take(2))),
    "NEWOBJ": lambda machine, _: machine.push(called(*machine.take(2))),
}
"""Instruction -> what it does, given its argument."""


def run(program: mmap.mmap) -> Any:
    """What a pickle builds, from the position of ``program`` on; `RefusedError` when it is damaged or wants more."""
    machine = _Machine()
    try:
        for executed, (instruction, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], program))):
            if executed > MAX_INSTRUCTIONS:
                raise RefusedError("has more instructions than any network, and was not read; get the original file")
            if instruction.name == "STOP":
                break
            if instruction.name not in _EFFECTS:
                wanted = f"uses the instruction {instruction.name}, which no network needs"
                raise RefusedError(f"{wanted}, and was not read; get the original file")
            _EFFECTS[instruction.name](machine, argument)
    except ValueError as error:  # an instruction that does not exist, or whose argument is cut off
        raise RefusedError("is cut short or damaged; download it again") from error
    return machine.top()


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    """The file's bytes; reading from them is bounded by their end, whatever length a pickle claims."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def load_pickle(path: Path) -> object:
    """What a pickle of NVIDIA's builds: dictionaries of `NetworkObject` and plain data; `RefusedError` otherwise."""
    with _mapped(path) as content:
        return run(content)


def load_array_file(path: Path) -> Mapping[str, Tensor]:
    """The dictionary of arrays in a ``.npy`` file (an array without axes whose one object is a dictionary).

    Raises:
        RefusedError: it holds something else.
    """
    with _mapped(path) as content:
        try:
            version = np.lib.format.read_magic(content)
            read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read_header[version](content)
        except (ValueError, KeyError) as error:
            raise RefusedError("is a numpy file cut short or damaged; download it again") from error
        if shape != () or not dtype.hasobject:
            raise RefusedError("is a numpy file of numbers, not a dictionary of weights; give the file of a network")
        array = run(content)
    found = array.value if isinstance(array, Array) else None
    if not isinstance(found, dict):
        raise RefusedError("is a numpy file without a dictionary; give the file of a network")
    state: dict[str, Tensor] = {}
    for name, values in found.items():
        if not isinstance(name, str) or not isinstance(values, Array) or not isinstance(values.value, np.ndarray):
            raise RefusedError("is a numpy file with other things than arrays; give the file of a network")
        state[name] = torch.from_numpy(values.value.astype(values.value.dtype.newbyteorder("=")))
    return state


def plain(value: Any) -> Any:
    """Content without what only pickles have: arrays as lists, number types as their names, networks as class names.

    Raises:
        RefusedError: it is nested without end or beyond measure.
    """
    left = MAX_VALUES

    def simplified(part: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise RefusedError("is nested beyond measure, and was not read; get the original file")
        if isinstance(part, dict):
            return {name: simplified(inner, depth + 1) for name, inner in part.items()}
        if isinstance(part, (list, tuple, set)):
            return type(part)(simplified(inner, depth + 1) for inner in part)
        if isinstance(part, Array):
            return part.value.tolist() if isinstance(part.value, np.ndarray) else simplified(part.value, depth + 1)
        if isinstance(part, NumberType):
            return str(part.dtype)
        return part.class_name if isinstance(part, NetworkObject) else str(part) if isinstance(part, Name) else part

    return simplified(value, 0)
