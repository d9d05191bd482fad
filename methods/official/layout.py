"""What a reader of official files is, what it returns, and how it says what is wrong with a file.

A layout is the way one family of published files stores its networks: under which names, beside what. Readers register
themselves in `LAYOUTS`. A reader gets the content of a file (`methods.official.checkpoint.load`: plain dicts, lists,
numbers, texts and tensors, whatever the file was) and builds our networks with the sizes that keys and shapes tell, so
that networks of any width are read, not the published ones alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from core.registry import Registry, unknown_name

Network = TypeVar("Network", bound=nn.Module)
Value = TypeVar("Value")
Content = Mapping[str, Any]
"""The file's dictionary."""

DOMAIN_SIZES: dict[str, int] = {
    "faces": 1024,
    "cars": 512,
    "wild": 512,
    "churches": 256,
    "horses": 256,
    "cats": 256,
}
"""Pixels per side of the StyleGAN2 generators that the inversion papers used, by domain; style counts follow."""

COUNTER = ".num_batches_tracked"
LARGEST_NUMBER = 4096
"""No key of a published file counts higher; what is derived from a number in a key stays small."""


class RefusedError(Exception):
    """The file is not read at all; the message continues its name: "is cut short; download it again"."""


class MismatchError(Exception):
    """The content is not of the layout it is read as; the message continues "... is not a pSp checkpoint: it "."""


@dataclass(frozen=True)
class Official:
    """What an official file holds.

    Attributes:
        modules: our networks by role ("encoder", "generator", "discriminator", ...), in eval mode, frozen, on the CPU,
            float32, every tensor taken from the file.
        latent_avg: the mean latent, (D,) or (L, D); None where the file has none.
        options: what the file says about how it was made (training options, constructor arguments), as it says it.
        layout: the layout's name.
        arguments: by role, the arguments of our class that fit the file; for a network made of several, nested by part.
    """

    modules: dict[str, nn.Module]
    latent_avg: Tensor | None
    options: dict[str, object]
    layout: str
    arguments: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """One layout.

    Attributes:
        description: a file of it as it reads in an error, with its article ("a pSp checkpoint").
        read: (content, domain or None) -> networks; raises `MismatchError`. The result's ``layout`` is filled in later.
        resembles: whether content looks like this layout, by a few telling keys.
    """

    description: str
    read: Callable[[Content, str | None], Official]
    resembles: Callable[[Content], bool]


LAYOUTS: Registry[Layout] = Registry("layout")


def tensors(value: object, what: str) -> dict[str, Tensor]:
    """A state dict, checked: text keys, tensors that are dense and no larger than what the file stores of them.

    Raises:
        MismatchError: it is none.
    """
    if not isinstance(value, Mapping) or not value:
        raise MismatchError(f"holds nothing where {what} should be")
    state: dict[str, Tensor] = {}
    for name, tensor in value.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise MismatchError(f"holds {type(tensor).__name__} {str(name)[:60]!r} where {what} has tensors")
        if any(int(number[:9]) > LARGEST_NUMBER for number in re.findall(r"\d+", name)):
            raise MismatchError(f"has a key with an absurd number, {name[:60]!r}")
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            raise MismatchError(f"stores '{name}' in a form no checkpoint uses")
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise MismatchError(f"claims {tuple(tensor.shape)} for '{name}' and stores less")
        state[name] = tensor.detach()
    return state


def part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under ``prefix``, which is cut off; MismatchError when there are none."""
    found = {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}
    if not found:
        raise MismatchError(f"has no keys '{prefix}...'")
    return found


def derived(derive: Callable[[dict[str, Tensor]], Value], state: dict[str, Tensor]) -> Value:
    """What ``derive`` reads off names and shapes; MismatchError when it looks in vain."""
    try:
        return derive(state)
    except KeyError as error:
        raise MismatchError(f"lacks '{error.args[0]}'") from error
    except (ArithmeticError, ValueError, IndexError, TypeError) as error:
        raise MismatchError("has keys of this layout with shapes that fit no network") from error


def numbers(state: Mapping[str, Tensor], pattern: str) -> list[int]:
    """The different numbers that ``pattern``'s first group matches in keys (a prefix of the key is enough), rising."""
    return sorted({int(found.group(1)) for name in state if (found := re.match(pattern, name))})


def count(state: Mapping[str, Tensor], pattern: str) -> int:
    """How many; see `numbers`."""
    return len(numbers(state, pattern))


def network(build: Callable[[], Network], state: Mapping[str, Tensor], prefix: str = "") -> Network:
    """The network ``build`` makes, holding ``state``: every key, no other, in the right shape.

    Counters of batch normalisations may be missing, as they are in files older than PyTorch 0.4.1: they start at zero.

    Args:
        build: called without memory (on the meta device).
        state: in our names.
        prefix: what the keys have in front of them in the file, for the message.

    Raises:
        MismatchError: saying which keys or shapes do not fit, or that there is no network of such sizes.
    """
    try:
        with torch.device("meta"):
            built = build()
    except (ReinvertError, ArithmeticError, ValueError, RuntimeError, IndexError, TypeError) as error:
        raise MismatchError(f"has sizes that no network of its kind has ({error})") from error
    expected = built.state_dict()
    given = {name: torch.zeros((), dtype=value.dtype) for name, value in expected.items() if name.endswith(COUNTER)}
    given |= state
    missing = [name for name in expected if name not in given]
    unknown = [name for name in given if name not in expected]
    misshapen = [name for name, value in expected.items() if name in given and given[name].shape != value.shape]
    problems = [f"lacks '{prefix}{missing[0]}'"] if missing else []
    problems += [f"has an unknown '{prefix}{unknown[0]}'"] if unknown else []
    if misshapen:
        shapes = f"{tuple(given[misshapen[0]].shape)} instead of {tuple(expected[misshapen[0]].shape)}"
        problems.append(f"has '{prefix}{misshapen[0]}' of shape {shapes}")
    if problems:
        counts = f"{len(missing)} keys missing, {len(unknown)} unknown, {len(misshapen)} misshapen"
        raise MismatchError(f"{', '.join(problems)} ({counts})")
    converted: dict[str, Tensor] = {}
    for name, value in expected.items():
        if given[name].is_floating_point() != value.is_floating_point():
            raise MismatchError(f"has '{prefix}{name}' of type {given[name].dtype}")
        converted[name] = given[name].to(value.dtype)
    built.load_state_dict(converted, strict=True, assign=True)
    return built.eval().requires_grad_(False)


def latent_mean(value: object, style_dim: int) -> Tensor | None:
    """A checkpoint's ``latent_avg``: (D,) or (L, D), or None; MismatchError when it is something else."""
    if value is None:
        return None
    mean = tensors({"latent_avg": value}, "a mean latent")["latent_avg"]
    if mean.dim() not in (1, 2) or mean.shape[-1] != style_dim or not mean.is_floating_point():
        raise MismatchError(f"has a 'latent_avg' of shape {tuple(mean.shape)} where styles have {style_dim} numbers")
    return mean.float()


def check_domain(domain: str | None, size: int, sizes: Mapping[str, int] = DOMAIN_SIZES) -> None:
    """Refuse a file whose generator draws another size than the domain's.

    Raises:
        MismatchError: naming the domains it would fit.
        ReinvertError: no such domain.
    """
    if domain is None:
        return
    if domain not in sizes:
        raise unknown_name("domain", domain, sizes)
    if sizes[domain] != size:
        fitting = [name for name, pixels in sizes.items() if pixels == size]
        raise MismatchError(
            f"is for a generator of {size} px with {styles_of(size)} styles where {domain} have "
            f"{sizes[domain]} px and {styles_of(sizes[domain])} styles"
            + (f", as {' or '.join(fitting)} would" if fitting else "")
        )


def styles_of(size: int) -> int:
    """The number of styles of a StyleGAN2 generator: 18 for 1024 px."""
    return 2 * size.bit_length() - 4


def options_of(value: object) -> dict[str, object]:
    """Options stored as a dictionary or as an ``argparse.Namespace``; none for anything else."""
    if isinstance(value, Mapping):
        return {str(name): option for name, option in value.items()}
    return dict(vars(value)) if hasattr(value, "__dict__") else {}
