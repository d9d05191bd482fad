"""What a result depends on: which weights, data, code and machine. Goes into record.json and into the cache's key."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import Config
from core.weights import CARD_FILE, load_card
from pipelines.worker_processes import cores

if TYPE_CHECKING:
    import torch  # heavy, and what was measured ahead is collected without it

PACKAGES = ("lpips", "numpy", "pytorch-fid", "scipy", "torch", "torch-fidelity")
"""Packages whose code the numbers pass through."""
CODE = (
    "core",
    "methods",
    "metrics",
    "pipelines/evaluate*.py",
    "pipelines/worker_processes.py",
    "pipelines/domains/shards.py",
)
"""Our code that a chunk's numbers pass through."""
UNTOUCHED = ("code-encoder",)
"""Networks of a domain that no run loads: what a generator's training goes on from."""


def method_chain(method: str, config: Config) -> dict[str, dict[str, Any]]:
    """The arguments of a method and of those it starts from, by name, itself first."""
    chain: dict[str, dict[str, Any]] = {}
    name: str | None = method
    while name is not None and name in config.methods and name not in chain:
        chain[name] = config.methods[name].model_dump(mode="json")
        start = chain[name].get("start")
        name = start if isinstance(start, str) else None
    return chain


def weights_sha256(weights_root: Path, domain: str, method: str, config: Config) -> dict[str, str]:
    """SHA-256 of every network a run can touch, by name: all of the domain's but `UNTOUCHED` and other methods'."""
    others = {*UNTOUCHED, *config.methods} - set(method_chain(method, config))
    folders = sorted(path.parent for path in (weights_root / domain).glob(f"*/{CARD_FILE}"))
    cards = [load_card(folder) for folder in folders]
    return {card.name: card.sha256 for card in cards if card.name not in others}


def code_sha256() -> str:
    """SHA-256 over our source files that a chunk's numbers pass through."""
    return sha256_of_code(CODE)


def sha256_of_code(parts: Sequence[str]) -> str:
    """SHA-256 over the Python files of `parts`: folders and patterns below the project's folder."""
    root = Path(__file__).resolve().parents[1]
    files = sorted(
        file for part in parts for path in root.glob(part) for file in (path.rglob("*.py") if path.is_dir() else [path])
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(root).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def key_of(content: Any) -> str:
    """A short name for JSON-like content: equal content, equal name."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]


def versions() -> dict[str, str]:
    """Python's version and those of `PACKAGES`."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}


def machine(device: torch.device | None = None) -> str:
    """Processor, cores, GPU if that is the device, and system, in words."""
    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    gpu = ""
    if device is not None and device.type == "cuda":
        import torch

        gpu = f", {torch.cuda.get_device_name(device)}"
    count = cores()
    return f"{processor}, {count} core{'s' if count > 1 else ''}{gpu}, {platform.system()} {platform.machine()}"
