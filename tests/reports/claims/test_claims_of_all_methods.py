"""Once every method of params.yaml has run, each claim about them is decided, as comparing means decides."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.config import load_config
from reports.claims import evidence as table
from reports.claims.judge import judge, read_rules
from reports.claims.measured import evidence
from reports.claims.names import applies, methods, metric
from reports.claims.statements import Order, read_claims
from reports.read import Run, group_of
from tests.conftest import ROOT

CONFIG = load_config(ROOT / "params.yaml")
SCORES = {"l2": 0.01, "lpips": 0.5, "psnr": 20.0, "ssim": 0.6, "ms_ssim": 0.7, "id": 0.5}


def _run(domain, method, quality, n=16):
    """All scores follow `quality`, with so little noise that intervals cannot meet."""
    noise = np.random.default_rng(0).uniform(-1e-6, 1e-6, n)
    scores = {name: base * (1 + (-quality if metric(name).direction == "lower" else quality)) + noise
              for name, base in SCORES.items() if name != "id" or domain == "faces"}  # fmt: skip
    metrics = {name: {"value": float(values.mean()), "low": float(values.min()), "high": float(values.max()), "n": n,
                      "n_failed": 0} for name, values in scores.items()}  # fmt: skip
    of_sets = 30 * (1 - quality)
    metrics |= {name: {"value": of_sets, "low": of_sets - 1e-6, "high": of_sets + 1e-6, "n": n, "n_failed": 0}
                for name in ("fid", "kid")}  # fmt: skip
    return Run(
        f"{domain}-{method.replace('/', '-')}", domain, method, group_of(method, CONFIG),
        record={"arguments": dict(CONFIG.methods[method].arguments)},
        metrics=metrics,
        timing={"seconds_per_image_batch_1": 10 * (1 - quality), "parameters": int(4e6 * (1 - quality))},
        curve={"steps": [0, 1], "seconds": [0.1, 0.2], **{name: [1.0, 0.5] for name in ("l2", "lpips", "id", "psnr")}},
        per_image=pd.DataFrame({"failed": False, "out_of_distribution": False, **scores}, index=range(n)),
    )  # fmt: skip


def _judged(seed, tmp_path, n=16, domains=("faces", "churches")):
    order = np.random.default_rng(seed).permutation(len(CONFIG.methods))
    quality = {name: 0.3 * int(rank) / len(order) for name, rank in zip(CONFIG.methods, order, strict=True)}
    runs = [_run(domain, name, value, n) for domain in domains for name, value in quality.items()]
    found = evidence(runs, tmp_path, CONFIG.domains)
    return quality, {claim: judge(claim, found, read_rules()) for claim in read_claims()}


@pytest.mark.parametrize("seed", range(3))
def test_orders_come_out_as_the_means_have_them(tmp_path, seed):
    quality, judged = _judged(seed, tmp_path, n=200)
    decided = 0
    for claim, judgements in judged.items():
        if not isinstance(claim.check, Order) or claim.check.for_each:
            continue
        named = set(itertools.chain(*claim.check.ordered_pairs()))
        runs = {name: next((one for one in methods().spellings(name) if one in quality), None) for name in named}
        for one in judgements:
            wanted = [name for name in claim.check.metrics if applies(name, one.domain)]
            if one.domain not in ("faces", "churches") or None in runs.values() or not set(wanted) <= {
                *SCORES, "fid", "kid", "params_millions"
            }:  # fmt: skip
                continue
            decided += 1
            # One quality makes every score, so the metrics agree, save where two names are one network.
            holds = all(quality[runs[better]] > quality[runs[worse]] for better, worse in claim.check.ordered_pairs())
            assert one.verdict == ("supported" if holds else "contradicted"), (claim.id, one.domain, one.reason)
    assert decided >= 18


def test_no_claim_about_methods_of_params_is_left_unmeasured(tmp_path):
    _, judged = _judged(0, tmp_path)
    open_ = {one.claim.id for found in judged.values() for one in found
             if one.domain == "faces" and one.verdict == "not measured"}  # fmt: skip
    decided = {"restyle-1", "restyle-2", "restyle-6", "restyle-7", "restyle-9", "restyle-13", "hyperinverter-1",
               "hyperinverter-2", "hyperinverter-4", "hyperinverter-6", "hyperinverter-7", "hyperinverter-8",
               "hyperinverter-12", "hyperinverter-19", "feature-style-1", "feature-style-2", "feature-style-3",
               "e2style-1", "e2style-2", "e2style-3", "e2style-4", "e2style-5", "e2style-6"}  # fmt: skip
    assert not decided & open_


@pytest.mark.parametrize(("n", "low", "certain"), [(200, 2.9, True), (200, None, False), (100, 2.9, False)])
def test_fid_is_certain_of_enough_images_with_an_interval(n, low, certain):
    found = table.Evidence(["faces"]).usable(table.valued(3.0, low, low and 3.1, "fid", n), "fid", "psp")
    assert isinstance(found, table.Value) and math.isfinite(found.low) == certain


def test_fid_of_few_images_decides_nothing_alone(tmp_path):
    (order,) = [claim for claim in read_claims() if claim.id == "hyperinverter-3"]  # FID and KID, on churches
    for n, verdicts in ((16, {"inconclusive"}), (200, {"supported", "contradicted"})):
        _, judged = _judged(0, tmp_path, n=n)
        (one,) = [judgement for claim, found in judged.items() if claim.id == order.id for judgement in found]
        assert one.verdict in verdicts, one.reason
        assert ("(n = 16)" in one.numbers) == (n == 16)


def test_a_domain_without_runs_is_told_from_one_that_is_not_of_the_suite(tmp_path):
    _, judged = _judged(0, tmp_path, domains=("faces",))
    reasons = {(one.claim.id, one.domain): one.reason for found in judged.values() for one in found}
    assert reasons["hyperinverter-5", "churches"] == "churches: no run on it yet"
    assert reasons["e2style-17", "cats"] == "cats: no domain of this suite"


def test_times_say_how_many_steps_they_are_of(tmp_path):
    _, judged = _judged(0, tmp_path)
    (one,) = [one for claim, found in judged.items() if claim.id == "hyperinverter-7" for one in found
              if one.domain == "faces"]  # fmt: skip
    assert f"({CONFIG.methods['pti'].arguments['steps']} steps)" in one.numbers
    assert table.SET_RANK == 128


@pytest.mark.parametrize(("ratio", "expected"), [(4.88, "inconclusive"), (13.3, "inconclusive"), (60.0, "supported"),
                                                 (1.5, "contradicted")])  # fmt: skip
def test_the_load_of_the_machine_turns_no_verdict_on_time(tmp_path, ratio, expected):
    runs = [_run("faces", name, 0.1) for name in ("optimization-w-plus", "restyle-psp")]
    runs = [replace(run, timing={"seconds_per_image_batch_1": seconds, "parameters": 1})
            for run, seconds in zip(runs, (0.5 * ratio, 0.5), strict=True)]  # fmt: skip
    (claim,) = [claim for claim in read_claims() if claim.id == "restyle-9"]  # ten times faster
    (one,) = judge(claim, evidence(runs, tmp_path), read_rules())
    assert one.verdict == expected, one.reason
