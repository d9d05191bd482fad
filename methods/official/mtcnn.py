"""MTCNN's three files (``pnet.npy``, ``rnet.npy``, ``onet.npy``): pickled dictionaries of arrays, or state dicts.

One layout for the three; which of the networks a file holds its keys tell. Their sizes are fixed.
"""

from __future__ import annotations

from torch import nn

from methods.official.layout import LAYOUTS, Content, Layout, MismatchError, Official, network, tensors
from metrics.judges.mtcnn import OutputNetwork, ProposalNetwork, RefinementNetwork

NETWORKS: dict[str, tuple[str, type[nn.Module]]] = {
    "conv4_1.weight": ("pnet", ProposalNetwork),
    "conv5_1.weight": ("rnet", RefinementNetwork),
    "conv6_1.weight": ("onet", OutputNetwork),
}
"""The head that only this network has -> its name and class."""


def _read(content: Content, _domain: str | None) -> Official:
    state = tensors(content, "a state dict")
    heads = [head for head in NETWORKS if head in state]
    if len(heads) != 1:
        raise MismatchError(f"has {' and '.join(heads) or 'none'} of the heads {', '.join(NETWORKS)}")
    name, kind = NETWORKS[heads[0]]
    return Official({name: network(kind, state)}, None, {}, "", {name: {}})


LAYOUTS.register("mtcnn")(
    Layout(
        "a network of MTCNN",
        _read,
        lambda content: "features.prelu1.weight" in content and any(head in content for head in NETWORKS),
    )
)
