"""Editing: `reinvert label samples`, `directions`, `editability`."""

from __future__ import annotations

from core.config import load_config
from pipelines.collected import Places, collect
from pipelines.commands.options import (
    DATA,
    PARAMS,
    RESULTS,
    SCALE,
    WEIGHTS,
    Data,
    Device,
    DomainName,
    Measuring,
    Params,
    Results,
    RunName,
    Scale,
    Weights,
    check_recipe,
    device_of,
    flat,
    known,
    section,
)


def label_samples(
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    device: Device = "auto",
) -> None:
    """Draw samples of a generator and write down what the judges read off them."""
    config = load_config(params)
    check_recipe(config, domain)
    from pipelines.samples_config import LabelledSampling

    settings = section(LabelledSampling, config, params, "labelled_samples")
    from pipelines.label_samples import label_samples as label

    label(domain, settings, weights, data / domain / "labelled-samples.npz", device_of(device))


def directions(
    domain: DomainName,
    params: Params = PARAMS,
    weights: Weights = WEIGHTS,
    data: Data = DATA,
    results: Results = RESULTS,
    device: Device = "auto",
) -> None:
    """Find the editing directions of a domain's generator and check that they do what they are called."""
    config = load_config(params)
    check_recipe(config, domain)
    from pipelines.editing_config import DirectionFinding

    settings = section(DirectionFinding, config, params, "directions")
    from pipelines.find_directions import find_directions

    found = find_directions(domain, settings, weights, data, results / "directions" / domain, device_of(device))
    for name, entry in found["directions"].items():
        change = entry["changes"][-1]["mean"] - entry["changes"][0]["mean"]
        held = "holds" if entry["holds"] else "does not hold"
        print(f"{name:<12} raises {entry['attribute']:<12} by {change:8.3f} in all: {held}")


@flat
def editability(run: RunName, options: Measuring, scale: Scale = SCALE) -> None:
    """Edit what one method makes of test images and measure the result."""
    config = load_config(options.params).at_scale(scale)
    known("run", run, config.runs)
    output = options.results / run
    places = Places(options.weights, options.data, options.cache, options.device)
    if collect("editability", run, config, places, output):
        return
    check_recipe(config, config.runs[run].domain)
    from pipelines.editing_config import Editability

    settings = section(Editability, config, options.params, "editability")
    from pipelines.editability import editability as measure

    device = device_of(options.device)
    measured = measure(run, config, settings, options.weights, options.data, output, device)
    print(
        f"{run}: {measured['status']}, {measured['n']} images{', ' if measured['reason'] else ''}{measured['reason']}"
    )
