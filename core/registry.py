"""Named things that list themselves, refuse duplicates and suggest near names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from core.errors import ReinvertError

T = TypeVar("T")


def unknown_name(noun: str, name: str, known: Iterable[str]) -> ReinvertError:
    """The error for a name that is not among `known`, with the nearest one suggested when there is one."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    advice = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(names) or 'none'}"
    return ReinvertError(f"unknown {noun} '{name}'; {advice}")


class Registry(Generic[T]):
    """A mapping from names to objects of one kind.

    Args:
        noun: what is registered, as it reads in an error ("method", "metric").
    """

    def __init__(self, noun: str) -> None:
        self.noun = noun
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator (or plain call on an object) that files it under `name`.

        Raises:
            ValueError: the name is taken; a programming mistake, hence no ReinvertError.
        """

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.noun} '{name}' is registered twice")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The object filed under `name`; ReinvertError with a suggestion when there is none."""
        if name not in self._entries:
            raise unknown_name(self.noun, name, self._entries)
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries
