"""`reinvert weights`: the official checkpoints, from the authors' servers to safetensors.

Commands take names or patterns ("psp-*"). Of several checkpoints, those that fail are said one line each and do not
keep the others from being done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from core.errors import ReinvertError
from pipelines.weights import store
from pipelines.weights.cards import CheckpointCard, load_cards, select

app = typer.Typer(help="The authors' published checkpoints.", no_args_is_help=True, rich_markup_mode=None)

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Names or patterns; by default all.")]
Chosen = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names or patterns, such as 'psp-*'.")]
Checkpoints = Annotated[Path, typer.Option("--checkpoints", help="Folder of the official checkpoints.")]

CHECKPOINTS = Path("checkpoints")
HEAD = ("name", "domain", "layout", "size", "licence", "state")


@app.command("list")
def list_checkpoints(names: Names = None, checkpoints: Checkpoints = CHECKPOINTS) -> None:
    """List what was published, and what of it is here."""
    rows = [HEAD]
    for card in select(load_cards(), names or ["*"]):
        known = store.size(card, checkpoints)
        megabytes = f"{known / 1e6:,.1f} MB" if known else "not known"
        rows.append((card.name, card.domain, card.layout, megabytes, card.licence, store.state(card, checkpoints)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    for row in rows:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command()
def fetch(names: Chosen, checkpoints: Checkpoints = CHECKPOINTS) -> None:
    """Download checkpoints, or go on downloading them."""

    def do(card: CheckpointCard) -> str:
        record = store.fetch(card, checkpoints)
        return f"{store.place(card, checkpoints)}  {record.bytes:,} bytes, sha256 {record.sha256}"

    _each(select(load_cards(), names), do)


@app.command()
def verify(names: Names = None, checkpoints: Checkpoints = CHECKPOINTS) -> None:
    """Check size, hash and content of checkpoints; by default of all that are here."""

    def do(card: CheckpointCard) -> str:
        networks = store.verify(card, checkpoints)
        return f"{card.name}: as on record, holds {', '.join(networks.modules)}"

    _each(_here(names, checkpoints), do)


@app.command()
def convert(names: Names = None, checkpoints: Checkpoints = CHECKPOINTS) -> None:
    """Write checkpoints as safetensors, so that nothing needs the authors' files; by default all that are here."""

    def do(card: CheckpointCard) -> str:
        if store.is_converted(card, checkpoints, intact=True):
            return f"{checkpoints / card.name}: converted already"
        done = store.convert(card, checkpoints)
        return f"{checkpoints / card.name}: {done.parameters:,} values, {done.bytes:,} bytes"

    _each(_here(names, checkpoints), do)


def _here(names: list[str] | None, checkpoints: Path) -> list[CheckpointCard]:
    """The cards with these names; without names those whose file is in its place."""
    cards = load_cards()
    return (
        select(cards, names) if names else [card for card in cards.values() if store.place(card, checkpoints).is_file()]
    )


def _each(cards: list[CheckpointCard], do: Callable[[CheckpointCard], str]) -> None:
    """Do it to all cards and print what `do` says; at the end fail if one failed."""
    if not cards:
        print("no checkpoint is here; 'reinvert weights list' shows what there is")
    if len(cards) == 1:
        print(do(cards[0]))
        return
    failed: list[str] = []
    for card in cards:
        try:
            print(do(card), flush=True)
        except ReinvertError as error:
            print(f"error: {error}", file=sys.stderr)
            failed.append(card.name)
    if failed:
        raise ReinvertError(f"{len(failed)} of {len(cards)} failed: {', '.join(failed)}; the lines above say why")
