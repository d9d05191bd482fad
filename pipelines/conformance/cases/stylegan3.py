"""StyleGAN3: T at 1024 and 256 px, R at 256 px; codes, images, maps, transformations, injection, running means."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from methods.networks.stylegan3 import ROTATION, Generator, user_transform
from pipelines.conformance.cases import CASES, TOLERANCES, Outputs, Tolerance
from pipelines.conformance.data import Goldens
from pipelines.conformance.measures import area, channel_statistics, crop, loaded

DEGREES, RIGHT, DOWN = 25.0, 0.15, -0.1
MAP_CHANNELS, MAP_CROP = 4, 8
INPUT_CHANNELS_STEP, INPUT_CROP = 128, 16
MAGNITUDE_DECAY, AVERAGE_DECAY = 0.999, 0.998


def images_of(name: str, images: Tensor, area_size: int | None = 32) -> Outputs:
    """What the goldens hold of images: averages over areas of the first one, a crop, statistics."""
    outputs: Outputs = {f"{name}_crop32": crop(images), f"{name}_stats": channel_statistics(images)}
    if area_size is not None:
        outputs[f"{name}_area{area_size}"] = area(images[:1], area_size)
    return outputs


def _codes(generator: Generator, z: Tensor) -> Outputs:
    styles = generator.repeat(generator.mapping(z))
    return {
        "w_psi1": styles[:, 0],
        "w_psi07": generator.truncate(styles, 0.7)[:, 0],
        "w_psi07_cutoff8_row7_row8": generator.truncate(styles, 0.7, rows=8)[:, 7:9],
    }


def _maps(generator: Generator, styles: Tensor) -> Outputs:
    synthesis = generator.synthesis
    names = ["input", *(name.split("_")[0] for name in synthesis.layer_names)]
    magnitudes, shapes, outputs = [], [], Outputs()

    def keep(name: str, maps: Tensor) -> None:
        magnitudes.append(maps.double().abs().mean().item())
        shapes.append(tuple(maps.shape[1:]))
        if name != names[-1]:
            outputs[f"feat_{name}"] = crop(maps, MAP_CROP)[:, :MAP_CHANNELS]

    handles = [
        module.register_forward_hook(lambda _, __, maps, name=name: keep(name, maps))
        for name, module in zip(names, [synthesis.input, *synthesis.layers()], strict=True)
    ]
    images = synthesis(styles)
    for handle in handles:
        handle.remove()
    return outputs | images_of("img_ws", images, 64) | {"layer_meanabs": magnitudes, "layer_shapes": shapes}


def _transformed(generator: Generator, styles: Tensor) -> Outputs:
    transform = generator.synthesis.input.transform
    matrix = user_transform(DEGREES, RIGHT, DOWN)
    before = transform.clone()
    transform.copy_(matrix)
    features = generator.synthesis.input(styles[:, 0])[:, ::INPUT_CHANNELS_STEP]
    outputs = images_of("img_transform", generator.synthesis(styles))
    transform.copy_(before)
    return outputs | {"transform": matrix, "transform_input_crop": crop(features, INPUT_CROP)}


def _means(generator: Generator, z: Tensor) -> Outputs:
    w = generator.mapping(z, average_decay=AVERAGE_DECAY)
    images = generator.synthesis(generator.repeat(w), magnitude_decay=MAGNITUDE_DECAY)
    return {
        "ema_magnitude": [layer.magnitude_ema.item() for layer in generator.synthesis.layers()],
        "ema_w_avg": generator.mapping.w_avg,
        "img_ema_stats": channel_statistics(images),
    }


def _case(data: Goldens, manifest: str, size: int, injected: int, arguments: dict[str, Any]) -> Outputs:
    generator = loaded(lambda: Generator(size, **arguments), data.weights(manifest))
    z, styles = data.input("z", (2, 512)), data.input("ws", (1, generator.style_count, 512))
    channels = generator.synthesis.layers()[injected].weight.shape[0]
    feature = 0.5 * data.input("features", (1, channels, 36, 36))
    small = size < 1024
    outputs = _codes(generator, z) | _maps(generator, styles)
    outputs |= images_of("img_z", generator(z if small else z[:1]))
    outputs |= _transformed(generator, styles)
    outputs |= images_of("img_inject", generator.synthesis(styles, feature, injected))
    if small:
        mixed = generator.synthesis(styles, feature, injected, feature_strength=0.3)
        outputs |= images_of("img_inject03", mixed, None) | _means(generator, z)
    return outputs


@CASES.register("stylegan3_t1024")
def stylegan3_t1024(data: Goldens) -> Outputs:
    """Translation-equivariant, 1024 px."""
    return _case(data, "stylegan3_t1024", 1024, 1, {})


@CASES.register("stylegan3_t256")
def stylegan3_t256(data: Goldens) -> Outputs:
    """Translation-equivariant, 256 px, half the channels."""
    return _case(data, "stylegan3_t256", 256, 2, {"channel_base": 16384})


@CASES.register("stylegan3_r256")
def stylegan3_r256(data: Goldens) -> Outputs:
    """Rotation-equivariant, 256 px, half the channels."""
    return _case(data, "stylegan3_r256", 256, 2, ROTATION | {"channel_base": 32768})


# Many images' worth of convolutions in a row: the official code differs from itself by 3e-6 with other kernels.
for _name in ("stylegan3_t1024", "stylegan3_t256", "stylegan3_r256"):
    TOLERANCES[_name] = {"*": Tolerance(2e-5), "layer_shapes": Tolerance(0.0)}
