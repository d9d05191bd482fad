import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core import precision
from core.errors import ReinvertError


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ("amx_bf16", "bf16-mixed"),  # Sapphire Rapids and later
        ("avx512_bf16", "bf16-mixed"),  # Cooper Lake, Zen 4
        ("bf16", "bf16-mixed"),  # ARM v8.6
        ("avx512_f", "32-true"),  # wide, but without products of bfloat16
    ],
)
def test_auto_is_bfloat16_where_the_cpu_multiplies_it(
    capability: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {capability: True, "cpu_name": "made up"})
    assert precision.resolve("auto", "cpu") == expected


def test_this_cpu_is_judged_as_the_kernel_lists_it() -> None:
    listing = Path("/proc/cpuinfo")
    if not listing.is_file():
        pytest.skip("no /proc/cpuinfo to compare with")
    flags = set(listing.read_text(encoding="utf-8").split())
    assert precision.computes_bfloat16("cpu") == bool({"amx_bf16", "avx512_bf16", "bf16"} & flags)


@pytest.mark.parametrize("asked", ["bf16-mixed", "32-true"])
def test_what_is_asked_for_by_name_is_taken(asked: str) -> None:
    assert precision.resolve(asked, "cpu") == asked


def test_a_device_that_is_neither_gets_float32_and_an_unknown_name_is_refused() -> None:
    assert precision.resolve("auto", "meta") == "32-true"
    with pytest.raises(ReinvertError, match=r"unknown precision 'half'; use auto, bf16-mixed, 32-true"):
        precision.resolve("half", "cpu")


def test_typed_settings_can_name_a_precision_without_loading_torch() -> None:
    code = "import sys, core.precision; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
