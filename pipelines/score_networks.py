"""The networks that protocols measure with: the judges of an embedded domain, or published weights where they are here.

Nothing is downloaded: a missing file is named, with where it is looked for and how to get it. Published weights are
looked for in CHECKPOINTS/<network>/ and where the packages that use them keep what they fetched (torch.hub's folder).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from core.files import sha256_of
from metrics import protocols
from metrics.measure import networks_of
from metrics.protocols import CURRICULARFACE, INCEPTION_PYTORCH_FID, INCEPTION_TORCH_FIDELITY, LPIPS_ALEX, MTCNN
from metrics.registry import JUDGE

ADDRESSES = {
    "alexnet-owt-7be5be79.pth": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "pt_inception-2015-12-05-6726825d.pth": "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth",
    "weights-inception-2015-12-05-6726825d.pth": "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
}
"""Where the packages fetch their networks' weights."""
CARDS = {CURRICULARFACE.name: ("curricularface-ir101",), MTCNN.name: ("mtcnn-pnet", "mtcnn-rnet", "mtcnn-onet")}
"""Networks that `reinvert weights` knows -> their checkpoints."""


@dataclass(frozen=True)
class Loaded:
    """Networks by the name under which `metrics.measure` expects them, and the SHA-256 of their files."""

    networks: dict[str, nn.Module]
    sha256: dict[str, dict[str, str]]


def load_networks(
    wanted: Sequence[protocols.Protocol], weights: Path, domain: str, checkpoints: Path, device: torch.device
) -> Loaded:
    """All networks that protocols measure with.

    Args:
        wanted: the protocols.
        weights: folder of the trained networks; judges are in `<domain>/<judge>`.
        domain: whose judges measure, for protocols of the embedded scale.
        checkpoints: folder of official checkpoints.
        device: where they shall be.

    Raises:
        ReinvertError: a file is missing or not the one that the protocol names.
    """
    networks: dict[str, nn.Module] = {}
    hashes: dict[str, dict[str, str]] = {}
    for name, network in networks_of(wanted).items():
        if name.startswith(JUDGE):
            networks[name], hashes[name] = _judge(name.removeprefix(JUDGE), domain, weights)
        elif name == MTCNN.name:
            thresholds = next(one.face_thresholds for one in wanted if one.face_thresholds is not None)
            networks[name], hashes[name] = _detector(checkpoints, thresholds)
        elif name == CURRICULARFACE.name:
            networks[name], hashes[name] = _from_cards(name, checkpoints)["identity"]
        elif name in _PACKAGES:
            networks[name], hashes[name] = _PACKAGES[name](network, checkpoints)
        else:
            raise ReinvertError(f"there is no reader of the network '{name}'; choose another protocol")
    return Loaded({name: network.to(device) for name, network in networks.items()}, hashes)


Found = tuple[nn.Module, dict[str, str]]


def _judge(judge: str, domain: str, weights: Path) -> Found:
    from core.weights import load_card
    from metrics import judges

    network = judges.load(domain, judge, weights)
    return network, {f"{domain}/{judge}": load_card(weights / domain / judge).sha256}


def find(network: protocols.Network, file: str, beginning: str | None, checkpoints: Path) -> tuple[Path, str]:
    """A published file and its SHA-256.

    Raises:
        ReinvertError: it is nowhere, or what is there has another hash.
    """
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    places = [checkpoints / network.name / file, hub / file]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ReinvertError(
            f"the weights of '{network.name}' are not here; get {file} from {ADDRESSES[file]} and put it at "
            f"'{places[0]}' (or leave it in '{hub}', where its package puts it)"
        )
    found = sha256_of(path)
    if beginning is not None and not found.startswith(beginning):
        raise ReinvertError(f"'{path}' has sha256 {found[:12]}..., not {beginning}...; get {file} again")
    return path, found


def _state(path: Path) -> dict[str, Tensor]:
    from methods.official.checkpoint import load

    return {name: value for name, value in load(path).items() if isinstance(value, Tensor)}


def _published(build: Callable[[dict[str, Tensor]], nn.Module]) -> Callable[[protocols.Network, Path], Found]:
    def load(network: protocols.Network, checkpoints: Path) -> Found:
        file, beginning = network.files[0]
        path, found = find(network, file, beginning, checkpoints)
        try:
            return build(_state(path)).requires_grad_(False), {file: found}
        except RuntimeError as error:
            raise ReinvertError(f"'{path}' does not hold the weights of '{network.name}'; get {file} again") from error

    return load


def _inception(state: dict[str, Tensor]) -> nn.Module:
    from metrics.published import folded, pytorch_fid_inception

    return folded(pytorch_fid_inception(state))


def _inception_of_torch_fidelity(state: dict[str, Tensor]) -> nn.Module:
    from metrics.published import folded, torch_fidelity_inception

    return folded(torch_fidelity_inception(state))


def _lpips(state: dict[str, Tensor]) -> nn.Module:
    from metrics.published import lpips_network

    trunk = {name: value for name, value in state.items() if name.startswith("features.")}
    return lpips_network("alex", trunk)


def _calibrated_lpips(network: protocols.Network, checkpoints: Path) -> Found:
    lpips, hashes = _published(_lpips)(network, checkpoints)
    from importlib.util import find_spec

    # The calibration ships inside the package: another release may hold another.
    spec = find_spec("lpips")
    assert spec is not None  # it has just been used
    assert spec.origin is not None
    calibration, expected = network.files[1]
    path = Path(spec.origin).parent / "weights" / "v0.1" / "alex.pth"
    found = sha256_of(path)
    if expected is not None and found != expected:
        raise ReinvertError(f"'{path}' is not the calibration of LPIPS 0.1; install lpips 0.1.4")
    return lpips, hashes | {calibration: found}


_PACKAGES: dict[str, Callable[[protocols.Network, Path], Found]] = {
    LPIPS_ALEX.name: _calibrated_lpips,
    INCEPTION_PYTORCH_FID.name: _published(_inception),
    INCEPTION_TORCH_FIDELITY.name: _published(_inception_of_torch_fidelity),
}


def _from_cards(network: str, checkpoints: Path) -> dict[str, Found]:
    """The networks of official checkpoints, by role, converted or as the authors published them."""
    from core.weights import load_card
    from methods.official import converted
    from pipelines.weights import store
    from pipelines.weights.cards import load_cards

    cards = load_cards()
    found: dict[str, Found] = {}
    for name in CARDS[network]:
        card = cards[name]
        if store.is_converted(card, checkpoints):
            source = load_card(checkpoints / name).source
            assert source is not None  # a conversion has one
            official, sha256 = converted.load(checkpoints / name), source.sha256
        else:
            official, sha256 = store.verify(card, checkpoints), sha256_of(store.place(card, checkpoints))
        for role, module in official.modules.items():
            found[role] = module, {card.file: sha256}
    return found


def _detector(checkpoints: Path, thresholds: Any) -> Found:
    from metrics.judges.mtcnn import FaceDetector

    detector = FaceDetector(thresholds=thresholds)
    hashes: dict[str, str] = {}
    for role, (module, own) in _from_cards(MTCNN.name, checkpoints).items():
        setattr(detector, role, module)
        hashes |= own
    return detector.eval().requires_grad_(False), hashes
