"""Cards of the official checkpoints: what the authors published, where, and under which terms.

The cards are data, one YAML file per family in cards/. They repeat what the authors' repositories say and nothing else:
an address or a licence that is not stated there stays empty. Sizes and hashes are not published anywhere; the first
fetch records them (`store.Record`), and a card may pin them for everybody.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pydantic
import yaml

from core.config import validated
from core.errors import ReinvertError
from core.registry import unknown_name

FOLDER = Path(__file__).parent / "cards"
NOT_STATED = "not stated"


class CheckpointCard(pydantic.BaseModel):
    """What is known about one published file."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    method: str
    """What it is a checkpoint of: a method, a generator or a judge."""
    domain: str
    """What its images show; where `methods.official.DOMAIN_SIZES` has the word, a file of another domain is refused."""
    layout: str
    """The reader: a name of `methods.official.LAYOUTS`."""
    file: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    """The authors' file name, or the name we gave it where `note` says so."""
    address: Annotated[str, pydantic.Field(pattern=r"^https?://\S+$")] | None = None
    """Where it is, or None when it has to be put in its place by hand."""
    licence: str = NOT_STATED
    sha256: Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    bytes: Annotated[int, pydantic.Field(gt=0)] | None = None
    note: str = ""


def load_cards(folder: Path = FOLDER) -> dict[str, CheckpointCard]:
    """All cards by name, in the order of the files.

    Raises:
        ReinvertError: a card has a mistake, or a name is used twice.
    """
    cards: dict[str, CheckpointCard] = {}
    for path in sorted(folder.glob("*.yaml")):
        for name, values in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            if name in cards:
                raise ReinvertError(f"{path}: '{name}' is there twice; rename one")
            cards[name] = validated(CheckpointCard, {"name": name, **values}, f"{path}: {name}")
    return cards


def select(cards: dict[str, CheckpointCard], wanted: Iterable[str]) -> list[CheckpointCard]:
    """The cards with these names or patterns ("psp-*"), each once, in the order of the cards.

    Raises:
        ReinvertError: a name or pattern fits none; a near name is suggested.
    """
    chosen: set[str] = set()
    for name in wanted:
        fitting = fnmatch.filter(cards, name)
        if not fitting:
            raise unknown_name("checkpoint", name, cards)
        chosen.update(fitting)
    return [card for name, card in cards.items() if name in chosen]
