"""What a protocol is, and all of them by id: a metric with every choice that changes its number. Imports no torch.

Three kinds of suites, printed side by side and never mixed in one column:

- `strict`: ours. Native size, float, pairing by name, nothing dropped: what fails counts by a stated rule.
- `embedded`: the strict rules on the embedded domains, measured by networks trained there, on stored 8-bit pictures.
- one per paper: what the cited paper's code did, for comparing with its table; not ranked.

An id is `<name>@<size in pixels>/<version>`; `@native` stands for the size of the images. A change of numbers raises
the version: `tests/metrics/test_protocol_numbers.py` holds every protocol to stored numbers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from core.errors import ReinvertError
from core.registry import Registry, unknown_name

Range = Literal["[0, 1]", "[-1, 1]", "0..255"]
Resize = Literal["none", "PIL bilinear, antialiased", "PIL bicubic, antialiased"]
Reduction = Literal["none", "means of blocks", "bilinear, not antialiased"]
Quantisation = Literal["float", "8 bits, rounded", "8 bits, truncated", "8 bits, truncated, JPEG quality 75"]
Pairing = Literal["by name", "by position in sorted listings"]
FailureRule = Literal["the worst value", "the score of a blank", "dropped"]

STRICT, EMBEDDED = "strict", "embedded"


@dataclass(frozen=True)
class Network:
    """A network that measures, and the files its weights come from.

    Attributes:
        name: key under which `metrics.measure` expects it.
        files: published file and the beginning of its SHA-256, None where its authors publish none. Of a judge of an
            embedded domain there is no published file: its weights' hash is in the result's record.
    """

    name: str
    files: tuple[tuple[str, str | None], ...] = ()


LPIPS_ALEX = Network(
    "lpips-alex",
    (
        ("alexnet-owt-7be5be79.pth", "7be5be79"),
        ("lpips 0.1.4: weights/v0.1/alex.pth", "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    ),
)
"""torchvision's ImageNet AlexNet under the lpips package's calibration 0.1."""
CURRICULARFACE = Network("curricularface-ir101", (("CurricularFace_Backbone.pth", None),))
MTCNN = Network("mtcnn", (("pnet.npy", None), ("rnet.npy", None), ("onet.npy", None)))
"""The detector in front of published ID scores, as pSp's repository ships it."""
INCEPTION_PYTORCH_FID = Network("inception-pytorch-fid", (("pt_inception-2015-12-05-6726825d.pth", "6726825d"),))
INCEPTION_TORCH_FIDELITY = Network(
    "inception-torch-fidelity", (("weights-inception-2015-12-05-6726825d.pth", "6726825d"),)
)
"""The same Inception behind TensorFlow 1's resizing, from bytes."""


@dataclass(frozen=True)
class Protocol:
    """A metric with every choice that changes its number.

    Attributes:
        name: first part of the id.
        suite: "strict", "embedded" or the paper.
        metric: name in `metrics.registry`, which says direction and heading.
        function: "module:name". Per image: (real, fake) in [-1, 1] -> (B,); with a network, what is built with it.
            Otherwise (features, features, **settings) -> float.
        size: side in pixels that is measured; None: the images' own.
        value_range: range of the values that the number refers to.
        reduction: how the paper's code brings its reconstruction to `size` before it writes it; the real image is
            brought there by PIL's antialiased bilinear filter.
        quantisation: what becomes of a reconstruction before it is measured. Images read from 8-bit files are as they
            are, and real images are 8-bit pictures unless all is float.
        resize: filter that brings 8-bit pictures to `size`.
        pairing: how files of two folders make pairs.
        failure: what a reconstruction with a value that is not finite, or without a detectable face, counts as.
        worst: the value that a failure counts as under "the worst value".
        network: what measures, if anything does.
        face_thresholds: of MTCNN's three stages, where faces are detected and cropped first (smallest face 20 px).
        batch_dropping_remainder: images are read in such batches and the last, incomplete one is left out.
        sample_size: images that published numbers are means over, or a distance is taken between; None: any, printed.
        settings: further arguments of `function`.
        assumed: which of the above neither the paper's code nor its text states; ours is the likeliest.
        note: what else one should know.
        version: raised when the protocol's numbers change.
    """

    name: str
    suite: str
    metric: str
    function: str
    size: int | None = None
    value_range: Range = "[0, 1]"
    reduction: Reduction = "none"
    quantisation: Quantisation = "float"
    resize: Resize = "none"
    pairing: Pairing = "by name"
    failure: FailureRule = "the worst value"
    worst: float | None = None
    network: Network | None = None
    face_thresholds: tuple[float, float, float] | None = None
    batch_dropping_remainder: int | None = None
    sample_size: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    assumed: tuple[str, ...] = ()
    note: str = ""
    version: int = 1

    def __post_init__(self) -> None:
        if (self.failure == "the worst value") != (self.worst is not None):
            raise ValueError(f"{self.name}: 'worst' belongs to the failure rule 'the worst value', and only to it")
        if (self.resize, self.reduction) != ("none", "none") and self.size is None:
            raise ValueError(f"{self.name}: a filter without a size")
        if self.quantisation == "float" and (self.resize != "none" or self.face_thresholds):
            raise ValueError(f"{self.name}: PIL and MTCNN take 8-bit pictures")

    @property
    def id(self) -> str:
        """E.g. `lpips-alex@256/1`."""
        return f"{self.name}@{self.size or 'native'}/{self.version}"

    @property
    def per_image(self) -> bool:
        """False for FID and KID, which compare two sets of features."""
        return self.metric not in ("fid", "kid")

    @property
    def ranked(self) -> bool:
        """Whether its numbers order methods; paper protocols are for comparing with the paper's own table."""
        return self.suite in (STRICT, EMBEDDED)

    def at(self, size: int) -> Protocol:
        """The same protocol for images of that side; only one of native size has another."""
        if self.size is not None and self.size != size:
            raise ReinvertError(f"{self.id} measures at {self.size} pixels; choose a protocol for {size}")
        return replace(self, size=size)

    def load(self) -> Callable[..., Any]:
        """The function or class behind the name, imported now."""
        module, name = self.function.split(":")
        found: Callable[..., Any] = getattr(importlib.import_module(module), name)
        return found


PROTOCOLS: Registry[Protocol] = Registry("protocol")


def register(*protocols: Protocol) -> None:
    """File protocols under their names; a name that is taken raises ValueError."""
    for protocol in protocols:
        PROTOCOLS.register(protocol.name)(protocol)


def everything() -> list[Protocol]:
    """All protocols: embedded, strict, then paper by paper."""
    # Here, because these modules build their protocols from this one's class.
    for module in ("metrics.registry", "metrics.strict_protocols", "metrics.paper_protocols"):
        importlib.import_module(module)
    return [PROTOCOLS.get(name) for name in PROTOCOLS.names()]


def get(name: str) -> Protocol:
    """A protocol by name (`lpips-alex`), by name and size (`lpips-alex@256`) or by id (`lpips-alex@256/1`).

    Raises:
        ReinvertError: an unknown name, with the nearest one; a size that is not the protocol's; a version that is not
            today's, since its numbers can no longer be made here.
    """
    everything()
    rest, _, version = name.partition("/")
    base, _, size = rest.partition("@")
    protocol = PROTOCOLS.get(base)
    if size and size != "native":
        if not size.isdigit() or not int(size):
            raise ReinvertError(f"'{size}' in '{name}' is no size in pixels; write it as {protocol.id}")
        protocol = protocol.at(int(size))
    if version and version != str(protocol.version):
        raise ReinvertError(
            f"'{name}' is not the version computed here; this is {protocol.id}, and scores of other versions do not "
            "compare with it"
        )
    return protocol


def suites() -> list[str]:
    """The names of all suites."""
    return list(dict.fromkeys(protocol.suite for protocol in everything()))


def suite(name: str) -> list[Protocol]:
    """The protocols of one suite, in the order of the tables; an unknown name raises ReinvertError."""
    if name not in (known := suites()):
        raise unknown_name("suite of protocols", name, known)
    return [protocol for protocol in everything() if protocol.suite == name]
