"""NVIDIA's network pickles: StyleGAN2 (stylegan2-ada-pytorch) and StyleGAN3 (T and R).

``{"G", "D", "G_ema", "augment_pipe", "training_set_kwargs"}``, each network an object of a "persistent class"; see
`methods.official.pickles` for how they are read without running the source they carry. Returned are ``G_ema`` as
"generator" and ``D`` as "discriminator" where it is there; ``latent_avg`` is the running mean of w. StyleGAN3's
discriminator is StyleGAN2's.

The half precision and the clamps that the pickles ask for are left out: our StyleGAN2 computes in float32, where they
are inactive in trained networks (README of the conformance data).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from core.errors import ReinvertError
from methods.networks import layouts, stylegan3
from methods.networks.discriminator import Discriminator
from methods.networks.stylegan2 import Generator
from methods.official.layout import (
    LAYOUTS,
    Content,
    Layout,
    MismatchError,
    Official,
    count,
    derived,
    network,
    options_of,
    tensors,
)
from methods.official.pickle_values import NetworkObject
from methods.official.pickles import plain
from methods.official.rosinality import checked_size

MAX_DEPTH, MAX_MODULES = 20, 10_000
_FIXED = {
    "first_cutoff": stylegan3.FIRST_CUTOFF,
    "first_stopband": stylegan3.FIRST_STOPBAND,
    "last_stopband_rel": stylegan3.LAST_STOPBAND_OVER_CUTOFF,
    "margin_size": stylegan3.MARGIN,
    "output_scale": stylegan3.OUTPUT_SCALE,
    "filter_size": stylegan3.TAPS_PER_FACTOR,
    "lrelu_upsampling": 2,
}
"""StyleGAN3's arguments that our network has as constants, of which shapes do not tell all."""


def state_dict(module: NetworkObject) -> dict[str, Any]:
    """What ``torch.nn.Module.state_dict`` would give: parameters and buffers under dotted names.

    Raises:
        MismatchError: the object is no module, or one nested beyond measure.
    """
    found: dict[str, Any] = {}
    seen = 0

    def collect(part: object, prefix: str, depth: int) -> None:
        nonlocal seen
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_MODULES:
            raise MismatchError("has modules in modules beyond measure")
        if not isinstance(part, NetworkObject):
            raise MismatchError(f"has a module '{prefix[:-1][:60]}' of an unknown kind")
        for kind in ("_parameters", "_buffers", "_modules"):
            members = part.state.get(kind)
            if not isinstance(members, dict):
                raise MismatchError(f"has an object of class {part.class_name[:60]!r} that is no network")
            passing = part.state.get("_non_persistent_buffers_set")
            for name, value in members.items():
                if kind == "_modules" and value is not None:
                    collect(value, f"{prefix}{name}.", depth + 1)
                elif value is not None and not (isinstance(passing, set) and name in passing):
                    found[f"{prefix}{name}"] = value

    collect(module, "", 0)
    return found


def stylegan2_generator(state: dict[str, Tensor], prefix: str) -> tuple[Generator, dict[str, Any], Tensor]:
    """The generator from NVIDIA's names, its arguments and the mean of w (D,)."""
    try:
        ours, mean = layouts.generator_from_nvidia(state)
    except (ReinvertError, IndexError) as error:  # IndexError: axes that are not there
        raise MismatchError(f"has no StyleGAN2 generator under '{prefix}': {error}") from error
    arguments = derived(layouts.generator_arguments, ours)
    return network(lambda: Generator(**arguments), ours), arguments, mean.float()


def stylegan2_discriminator(state: dict[str, Tensor], prefix: str) -> tuple[Discriminator, dict[str, Any]]:
    """The discriminator from NVIDIA's names, and its arguments."""
    try:
        ours = layouts.discriminator_from_nvidia(state)
    except (ReinvertError, IndexError) as error:
        raise MismatchError(f"has no StyleGAN2 discriminator under '{prefix}': {error}") from error
    arguments = derived(layouts.discriminator_arguments, ours)
    return network(lambda: Discriminator(**arguments), ours), arguments


def _stylegan3_generator(
    state: dict[str, Tensor], options: Mapping[str, Any]
) -> tuple[stylegan3.Generator, dict[str, Any], Tensor]:
    for name, value in _FIXED.items():
        if options.get(name, value) != value:
            raise MismatchError(f"is a StyleGAN3 with {name} = {options[name]!r}, for which there is no network here")
    defaults = {"channel_base": 32768, "channel_max": 512, "conv_kernel": 3, "num_layers": 14, "num_critical": 2}
    given = {name: options.get(name, value) for name, value in defaults.items()}
    size, radial = options.get("img_resolution"), options.get("use_radial_filters", False)
    if not all(type(value) is int and 0 < value <= 2**20 for value in (size, *given.values())):
        raise MismatchError("has arguments of StyleGAN3 that are no numbers")
    arguments: dict[str, Any] = {
        "size": size,
        "style_dim": derived(lambda found: len(found["mapping.w_avg"]), state),
        "mapping_layers": count(state, r"mapping\.fc(\d+)\.weight"),
        "channel_base": given["channel_base"],
        "channel_max": given["channel_max"],
        "kernel": given["conv_kernel"],
        "radial": bool(radial),
        "layers": given["num_layers"],
        "critical": given["num_critical"],
    }
    if given["num_layers"] > 100:
        raise MismatchError("has arguments of StyleGAN3 that are no numbers")
    drawn = network(lambda: stylegan3.Generator(**arguments), state, "G_ema.")
    return drawn, arguments, state["mapping.w_avg"].float()


def _options(module: NetworkObject) -> dict[str, Any]:
    """The arguments the network was made with; those of its synthesis, which NVIDIA nests, among the others."""
    given = options_of(plain(module.state.get("_init_kwargs", {})))
    options = options_of(given.pop("synthesis_kwargs", None)) | given
    for name in ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels"):
        options.setdefault(name, plain(module.state.get(name)))
    return options


def _reader(build: Callable[[dict[str, Tensor], Mapping[str, Any]], tuple[Any, dict[str, Any], Tensor]]) -> Any:
    def read(content: Content, domain: str | None) -> Official:
        ema = content.get("G_ema")
        if not isinstance(ema, NetworkObject):
            raise MismatchError("has no network 'G_ema'")
        options = _options(ema)
        if options.get("c_dim"):
            raise MismatchError(f"is a network of {options['c_dim']} classes; inversion takes unconditional ones")
        drawn, arguments, mean = build(tensors(state_dict(ema), "a generator 'G_ema'"), options)
        checked_size(domain, drawn.size)
        modules: dict[str, nn.Module] = {"generator": drawn}
        official = Official(modules, mean, {"G_ema": options}, "", {"generator": arguments})
        judge = content.get("D")
        if isinstance(judge, NetworkObject):
            state = tensors(state_dict(judge), "a discriminator 'D'")
            modules["discriminator"], official.arguments["discriminator"] = stylegan2_discriminator(state, "D.")
            official.options["D"] = _options(judge)
        if content.get("training_set_kwargs") is not None:
            official.options["training_set_kwargs"] = plain(content["training_set_kwargs"])
        return official

    return read


def _has_input(content: Content) -> bool | None:
    """Whether the generator begins with StyleGAN3's sinusoids; None for other content."""
    ema = content.get("G_ema")
    try:
        return any(name.startswith("synthesis.input.") for name in state_dict(ema)) if ema is not None else None
    except MismatchError:
        return None


_stylegan2 = _reader(lambda state, _: stylegan2_generator(state, "G_ema."))
LAYOUTS.register("stylegan2-nvidia")(
    Layout("a StyleGAN2 network of NVIDIA's", _stylegan2, lambda content: _has_input(content) is False)
)
LAYOUTS.register("stylegan3-nvidia")(
    Layout(
        "a StyleGAN3 network of NVIDIA's",
        _reader(_stylegan3_generator),
        lambda content: _has_input(content) is True,
    )
)
