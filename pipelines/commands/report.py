"""What comes out: `reinvert report`, and `check`, which guards it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.config import load_config
from core.errors import ReinvertError
from pipelines.commands.options import PARAMS, RESULTS, SCALE, WEIGHTS, Params, Results, Scale, Weights

Shared = Annotated[
    Path | None, typer.Option("--shared", help="Folder of what is the same at every scale, if not --results.")
]


def report(
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    results: Results = RESULTS,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report.")] = Path("reports"),
    scale: Scale = SCALE,
    shared: Shared = None,
    opened: Annotated[bool, typer.Option("--open", help="Show the PDF in the platform's viewer.")] = False,
) -> None:
    """Write the report from what was measured."""
    config = load_config(params).at_scale(scale)
    from reports.build import build_report

    paths = build_report(config, results, weights, out, shared)
    print(f"{paths.pdf}\n{paths.markdown}")
    if opened:
        from reports.viewing import show

        if why := show(paths.pdf):
            print(f"Not opened: {why}.")


def check(
    baseline: Annotated[Path, typer.Option("--baseline", help="Scores to compare with.")],
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the comparison as a Markdown table.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Make the present scores the baseline instead.")] = False,
    params: Params = PARAMS,
    results: Results = RESULTS,
    shared: Shared = None,
) -> None:
    """Fail when a score is worse than the baseline allows, or the verdict on a paper's claim has changed."""
    config = load_config(params)
    from pipelines import check as gate
    from pipelines import check_claims

    if write:
        verdicts = check_claims.verdicts_now(baseline, results, config.runs, shared)
        gate.write_baseline(baseline, results, config.runs, verdicts)
        return
    if config.tolerances is None:
        raise ReinvertError(f"{params} has no tolerances; add the section")
    comparisons = gate.compare(baseline, results, config.tolerances)
    changes = check_claims.compare(gate.read_baseline(baseline), baseline, results, config.runs, shared)
    if markdown:
        print(gate.markdown_table(comparisons))
        print(check_claims.markdown_table(changes))
    else:
        print("\n".join(str(change) for change in changes if change.kind != "same"), end="\n" if changes else "")
    gate.require_none("score(s) worse than the baseline", [one for one in comparisons if one.regressed])
    gate.require_none("verdict(s) on claims changed", [one for one in changes if one.flipped])
    if not markdown:
        print(f"{len(comparisons)} scores compared with {baseline}: none is worse than its tolerance allows")
        none = f"{baseline} holds no verdicts on claims; '--write' adds those of the last report"
        print(f"{len(changes)} verdicts on claims compared: none has flipped" if changes else none)
