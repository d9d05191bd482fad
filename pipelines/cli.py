"""`reinvert`: what the stages of the DAG call and what a person types.

Heavy imports (torch, pandas, typst) happen inside the commands, so that `--help` and `list` answer at once. Exit
status: 0 done, 1 something the user can mend (one line on stderr), 2 wrong usage, 130 interrupted. Any other exception
is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from core.errors import ReinvertError
from core.files import is_disk_full
from pipelines.ablations.cli import app as ablations_app
from pipelines.commands import apply, describe, edit, measure, report, score, train
from pipelines.weights.cli import app as weights_app

INTERRUPTED = 130


def _stop(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    raise typer.Exit(status)


class OneLineErrors(TyperGroup):
    """A command group that turns what a user can mend into one line on stderr and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except ReinvertError as error:
            _stop(f"error: {error}", 1)
        except KeyboardInterrupt:
            _stop("interrupted; run the same command again to go on", INTERRUPTED)
        except BrokenPipeError:
            # The reader of `reinvert list | head` has left; the interpreter must not complain about it on the way out.
            with contextlib.suppress(OSError):
                sys.stdout.close()
            raise typer.Exit(0) from None
        except OSError as error:
            if not is_disk_full(error):
                raise
            _stop("error: the disk is full; free some space and run the same command again", 1)


app = typer.Typer(
    cls=OneLineErrors,
    help="Render, invert, measure, report: a benchmark of StyleGAN inversion.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _group(name: str, about: str, commands: dict[str, Callable[..., None]]) -> None:
    group = typer.Typer(help=about, no_args_is_help=True, rich_markup_mode=None)
    for command, function in commands.items():
        group.command(command)(function)
    app.add_typer(group, name=name)


# The order is that of `--help`.
_COMMANDS: dict[str, Callable[..., None]] = {
    "list": describe.list_names,
    "describe": describe.describe,
    "render": measure.render,
    "cells": describe.cells,
    "wire": describe.wire,
    "evaluate": measure.evaluate,
    "ahead": measure.ahead,
    "score": score.score,
    "directions": edit.directions,
    "editability": edit.editability,
    "inspect": measure.inspect_run,
    "report": report.report,
    "check": report.check,
    "calibrate": score.calibrate,
    "conformance": score.conformance,
    "invert": measure.invert,
    "align": measure.align_photos,
}
for _name, _function in _COMMANDS.items():
    app.command(_name)(_function)
_group(
    "train",
    "Train a network, or go on training it.",
    {"generator": train.generator, "judge": train.judge, "method": train.method, "methods": train.methods},
)
_group("measure", "Measure a network.", {"generator": measure.generator, "parameters": measure.parameters})
_group("label", "Label what a generator draws.", {"samples": edit.label_samples})
_group(
    "apply",
    "Measure what the papers use inversions for.",
    {"hiding": apply.hiding, "swapping": apply.swapping, "videos": apply.videos},
)
_group("picture", "Draw pictures for the docs.", {"domain": describe.picture_domain})
app.add_typer(weights_app, name="weights")
app.add_typer(ablations_app, name="ablations")


def main() -> None:
    """Entry point of the `reinvert` program."""
    app()


if __name__ == "__main__":
    main()
