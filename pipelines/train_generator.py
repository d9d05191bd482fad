"""Train a domain's StyleGAN2.

Karras et al. 2020 (StyleGAN2): non-saturating logistic loss, lazy R1 (every 16 steps, weight gamma/2 * 16), style
mixing, averaged generator (EMA), optional path-length regularisation. One plain loop on Lightning Fabric.

Before it, a start without which a GAN needs millions of images before its scenes have parts: with an encoder, the
synthesis network learns to draw training images from one w each, small images first (pipelines/autoencoder.py), then
the mapping network learns where these codes are (pipelines/code_fitting.py).

The adversarial phase goes on from there. An "anchor", half of the batch still being training images drawn from the
encoder's codes, fades out during its first part, so the finished network is an ordinary StyleGAN2, trained
adversarially on images alone at the end.

Two helpers make that cheap enough for a few CPU cores: autoencoder and anchor also compare features
(`anchor_perceptual`), and a second critic looks at frozen features (`critic_weight`, see pipelines/feature_critic.py).

Everything random in a step is a function of (seed, process, step), and the state holds everything else, so a training
resumed from its checkpoint equals an uninterrupted one bit for bit.
"""

import csv
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import nn
from tqdm import tqdm

from core.errors import ReinvertError
from core.files import atomic_path, atomic_write_csv
from core.precision import resolve
from methods.networks.stylegan2 import Generator
from metrics import judges
from pipelines import domains
from pipelines.code_fitting import fit_mapping
from pipelines.domains import shards
from pipelines.generator_config import GeneratorTraining
from pipelines.generator_quality import features_of, fid_of_generator
from pipelines.generator_state import (
    State,
    build_state,
    export,
    load_checkpoint,
    save_checkpoint,
    save_samples,
    take_up_weights,
)
from pipelines.generator_steps import train_step

_FID_SAMPLES = 2824
"""As many as there are test images; the bars are measured with the same number."""
_CODED_TOGETHER = 64


def fit(
    fabric: Fabric,
    state: State,
    data: shards.Shards,
    config: GeneratorTraining,
    work_dir: Path,
    perceptual: nn.Module | None = None,
    fid: Callable[[Generator], float] | None = None,
) -> None:
    """Train until the configured number of images, logging and saving into `work_dir` on the way.

    Args:
        fabric, state, data, config, perceptual: see `train_step`.
        work_dir: receives checkpoint, log and sample grids.
        fid: measures the averaged generator every `fid_images` images and at the end.
    """
    total = config.images
    parent = os.getppid()
    with tqdm(total=total, initial=state["images"], desc="generator", unit="img", disable=None) as bar:
        while state["images"] < total:
            if fabric.world_size > 1 and os.getppid() != parent:  # or workers would train on unseen
                raise SystemExit("the process that started this training is gone")
            if state["images"] >= config.supervised_images and not state["mapping_fitted"]:
                _fit_mapping(fabric, state, data, config, work_dir)
            log = train_step(fabric, state, data, config, perceptual)
            bar.update(config.batch)
            done = state["images"] >= total
            if fabric.global_rank == 0:
                drawn = state["images"] > config.supervised_images  # before, samples of z are not trained
                if fid is not None and drawn and (done or _due(state, config.fid_images, config.batch)):
                    log["fid"] = fid(state["average"])
                if "fid" in log or _due(state, config.log_images, config.batch):
                    _append_log(work_dir / "losses.csv", state["images"], log)
                if done or _due(state, config.checkpoint_images, config.batch):
                    save_checkpoint(work_dir / "checkpoint.pt", state, config)
                    save_samples(state["average"], work_dir / f"samples-{state['images']:08d}.png", fabric.device)


def _fit_mapping(fabric: Fabric, state: State, data: shards.Shards, config: GeneratorTraining, work_dir: Path) -> None:
    """Between autoencoder and adversarial phase: the mapping network learns to draw codes of training images."""
    encoder, generator = state["encoder"], state["generator"]
    for buffer in encoder.buffers():  # statistics of batches, of which every process has seen its own
        buffer.copy_(fabric.broadcast(buffer))
    encoder.eval()
    parts = torch.arange(min(config.code_fitting.codes, len(data))).split(_CODED_TOGETHER)
    with torch.no_grad():
        codes = torch.cat([encoder(data.tensors(part, fabric.device)) for part in parts])
    encoder.train()
    log = fit_mapping(generator.style, codes, config.code_fitting, config.seed)
    state["average"].style.load_state_dict(generator.style.state_dict())
    state["mapping_fitted"] = True
    if fabric.global_rank == 0:
        atomic_write_csv(work_dir / "code-fitting.csv", log, ("step", "difference"))
        save_checkpoint(work_dir / "checkpoint.pt", state, config)


def _fid_against_test(
    domain_name: str, cache: Path, weights_dir: Path, device: torch.device
) -> Callable[[Generator], float]:
    """What measures a generator by its FID to the test images that are like the training data."""
    domain = domains.get(domain_name)
    data = shards.load(shards.folder_of(domain, "test", cache))
    indices = torch.arange(len(data))
    alike = indices[~domain.attributes("test", indices)["out_of_distribution"]]
    network = judges.load(domain_name, "features", weights_dir).to(device)
    real = features_of(network, data.images(alike.numpy()), device)
    return lambda average: fid_of_generator(average, network, real, _FID_SAMPLES, seed=0)


def _due(state: State, every: int, batch: int) -> bool:
    return every > 0 and state["images"] // every != (state["images"] - batch) // every


_LOG_COLUMNS = (
    "images",
    "regression",
    "perceptual",
    "generator",
    "discriminator",
    "real_score",
    "fake_score",
    "r1",
    "path_length",
    "critic",
    "critic_generator",
    "fid",
)


def _append_log(path: Path, images: int, log: dict[str, float]) -> None:
    """Add a line to the loss log; lines of a run that was killed after its last checkpoint are dropped first."""
    rows: list[Mapping[str, str | float]] = []
    if path.exists():
        with open(path, newline="") as handle:
            rows += [row for row in csv.DictReader(handle) if int(row["images"]) < images]
    atomic_write_csv(path, [*rows, {"images": str(images), **log}], _LOG_COLUMNS)


def _take_up_log(published: Path, path: Path) -> None:
    """What the published weights have been through is the first part of this training's log."""
    if published.is_file():
        with atomic_path(path) as temporary:
            temporary.write_bytes(published.read_bytes())


def main(
    fabric: Fabric, domain_name: str, config: GeneratorTraining, work_dir: Path, cache: Path, weights_dir: Path
) -> None:
    """One process of the training: build or resume the state, then `fit`."""
    if config.batch % fabric.world_size:
        raise ReinvertError(f"batch {config.batch} does not divide among {fabric.world_size} processes; change it")
    if fabric.device.type == "cpu":
        torch.set_num_threads(1)
    state = build_state(config, fabric.device)
    checkpoint = work_dir / "checkpoint.pt"
    if checkpoint.exists():
        load_checkpoint(checkpoint, state, config)
    elif take_up_weights(weights_dir / domain_name, state, config) and fabric.global_rank == 0:
        _take_up_log(weights_dir / domain_name / "generator" / "training.csv", work_dir / "losses.csv")
    data = shards.load(shards.folder_of(domains.get(domain_name), "train", cache))
    perceptual = None
    if config.anchor_perceptual or config.critic_weight:
        perceptual = judges.load(domain_name, "perceptual", weights_dir).to(fabric.device)
    fid = None
    if config.fid_images:
        fid = _fid_against_test(domain_name, cache, weights_dir, fabric.device)
    fit(fabric, state, data, config, work_dir, perceptual, fid)


def train_generator(
    domain_name: str,
    config: GeneratorTraining,
    weights_dir: Path = Path("weights"),
    cache: Path = Path(".cache"),
) -> None:
    """Train (or go on training, or just export what is finished) the generator of a domain.

    Args:
        domain_name: a registered domain.
        config: its `generators.<domain>` section.
        weights_dir: where the finished networks go.
        cache: rendered images and checkpoints, outside the DAG; what makes the training resumable.

    Raises:
        ReinvertError: unknown domain, another size than the domain's, or a checkpoint of another training.
    """
    domain = domains.get(domain_name)
    if config.size != domain.resolution:
        raise ReinvertError(f"generators.{domain_name}.size is {config.size}, the images are {domain.resolution}")
    work_dir = cache / "training" / f"{domain_name}-generator-{config.recipe}"
    work_dir.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        shards.ensure(domain, split, cache)
    precision = resolve(config.precision, "cuda" if torch.cuda.is_available() else "cpu")
    if torch.cuda.is_available():
        fabric = Fabric(accelerator="cuda", devices="auto", precision=precision)
        device = torch.cuda.get_device_name(0)
    elif config.processes > 1:
        fabric = Fabric(accelerator="cpu", devices=config.processes, strategy="ddp_spawn", precision=precision)
        device = f"cpu x {config.processes}"
    else:
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        device = "cpu"
    # Fabric hands itself to the launched function, followed by these arguments; its type does not say so.
    work: Callable[..., None] = main
    fabric.launch(work, domain_name, config, work_dir, cache, weights_dir)
    export(domain, config, work_dir, weights_dir, device, precision)
