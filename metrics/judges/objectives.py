"""What the judges other than the identity networks are trained to do, and how they are scored: a class per task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from core.errors import ReinvertError
from metrics.judges import scoring
from metrics.judges.objective import OBJECTIVES, GroundTruth, Objective, TestSet, attribute
from metrics.judges.perceptual import lpips_module


@OBJECTIVES.register("attributes")
class AttributeRegression(Objective):
    """Mean absolute error of named attributes, each in units of its spread; without units it is what is scored.

    Args:
        weights: attribute name -> factor of its error. A hard attribute needs more, or an easy one takes the network.
    """

    def __init__(self, truth: GroundTruth, output: dict[str, Tensor], weights: dict[str, float]) -> None:
        super().__init__()
        if set(weights) != set(output):
            raise ReinvertError(f"weights are for {', '.join(weights)}; give one each for {', '.join(output)}")
        self.weights = weights
        # Standard deviations make a degree and a year comparable.
        self.spread = {name: float(attribute(truth.attributes, name).float().std()) for name in output}

    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        errors = {name: (value - attributes[name]).abs().mean() for name, value in network(images).items()}
        parts = [self.weights[name] * error / self.spread[name] for name, error in errors.items()]
        return {"loss": torch.stack(parts).sum(), **errors}

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`."""
        batches = [network(images) for images in test.images()]
        predicted = {name: torch.cat([batch[name].cpu() for batch in batches]) for name in batches[0]}

        def errors(mask: Tensor) -> dict[str, float]:
            return {
                f"{name}_mae": scoring.mean_absolute_error(value[mask], test.attributes[name][mask])
                for name, value in predicted.items()
            }

        return scoring.by_distribution(errors, test.out_of_distribution)


def class_weights(counts: Tensor, power: float) -> Tensor:
    """(classes,) weights proportional to frequency ** -power, averaging one over pixels; 0 for classes never shown."""
    frequency = counts.double() / counts.sum()
    raw = torch.where(counts > 0, frequency.clamp(min=1e-12) ** -power, 0.0)
    return (raw / (raw * frequency).sum()).float()


def soft_dice_loss(probability: Tensor, truth: Tensor) -> Tensor:
    """1 - mean Dice over the classes the batch shows (V-Net, Milletari et al. 2016, with summed denominators).

    Args:
        probability: (B, classes, H, W), summing to one over classes.
        truth: (B, H, W) int64.
    """
    wanted = nn.functional.one_hot(truth, probability.shape[1]).permute(0, 3, 1, 2).to(probability.dtype)
    overlap = (probability * wanted).sum((0, 2, 3))
    total = (probability + wanted).sum((0, 2, 3))
    shown = wanted.sum((0, 2, 3)) > 0
    return 1 - (2 * overlap[shown] / total[shown]).mean()


@OBJECTIVES.register("segmentation")
class Segmentation(Objective):
    """Class-weighted cross-entropy plus soft Dice, so that thin classes (brows, mouth, glasses) count.

    Args:
        power: weight of a class is its frequency ** -power.
        dice: factor of the Dice loss.
    """

    weight: Tensor

    def __init__(self, truth: GroundTruth, output: Tensor, power: float, dice: float) -> None:
        super().__init__()
        self.register_buffer("weight", class_weights(truth.label_counts, power), persistent=False)
        self.dice = dice

    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        logits, wanted = network(images), labels.long()
        entropy = nn.functional.cross_entropy(logits, wanted, weight=self.weight)
        dice = soft_dice_loss(logits.softmax(1), wanted)
        return {"loss": entropy + self.dice * dice, "cross_entropy": entropy, "dice": dice}

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`."""
        predicted = torch.cat([network(images).argmax(1).to(torch.uint8).cpu() for images in test.images()])
        return scoring.segmentation_scores(predicted, test.labels, test.label_names, test.out_of_distribution)


@OBJECTIVES.register("scene")
class SceneRegression(Objective):
    """Every scene attribute read off the network's last features by one linear layer, standardised, squared error.

    Features that answer all questions about a scene at once are what a perceptual or a distribution distance needs;
    the layer itself is not shipped.

    Args:
        ignore: attributes that the image does not show, or are no quantities.
    """

    reads_out = True
    mean: Tensor
    spread: Tensor

    def __init__(self, truth: GroundTruth, output: Tensor | Sequence[Tensor], ignore: Sequence[str]) -> None:
        super().__init__()
        for name in ignore:
            attribute(truth.attributes, name)
        self.names = sorted(set(truth.attributes) - set(ignore))
        wanted = self.targets(truth.attributes)
        self.register_buffer("mean", wanted.mean(0), persistent=False)
        self.register_buffer("spread", wanted.std(0).clamp(min=1e-6), persistent=False)
        self.read = nn.Linear(self.last(output).shape[1], wanted.shape[1])

    @staticmethod
    def last(output: Tensor | Sequence[Tensor]) -> Tensor:
        """(B, d): the output, or the last of several feature maps, flattened."""
        return (output if isinstance(output, Tensor) else output[-1]).flatten(1)

    def targets(self, attributes: dict[str, Tensor]) -> Tensor:
        """(B, K) float32, all columns of all attributes that count."""
        return torch.cat([attributes[name].float().flatten(1) if attributes[name].ndim > 1
                          else attributes[name].float()[:, None] for name in self.names], 1)  # fmt: skip

    def loss(
        self, network: nn.Module, images: Tensor, labels: Tensor, attributes: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """See `Objective`."""
        wanted = (self.targets(attributes) - self.mean) / self.spread
        return {"loss": nn.functional.mse_loss(self.read(self.last(network(images))).float(), wanted)}

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`."""
        read = torch.cat([self.read(self.last(network(images))).float().cpu() for images in test.images()])
        predicted = read * self.spread.cpu() + self.mean.cpu()
        wanted = self.targets(test.attributes)

        def explained(mask: Tensor) -> dict[str, float]:
            return {"scene_r2": scoring.explained_variance(predicted[mask], wanted[mask])}

        return scoring.by_distribution(explained, test.out_of_distribution)


@OBJECTIVES.register("perceptual")
class Perceptual(SceneRegression):
    """Scene regression for the LPIPS network, scored as a distance as well.

    "distortion_order": share of test images whose distance grows when a distortion (noise, blur, shift) is doubled.
    """

    def scores(self, network: nn.Module, test: TestSet) -> dict[str, float]:
        """See `Objective`."""
        device = next(network.parameters()).device
        distance = lpips_module(network.state_dict()).to(device)
        generator = torch.Generator().manual_seed(0)
        near: list[Tensor] = []
        far: list[Tensor] = []
        for images in test.images():
            noise = torch.randn(images.shape, generator=generator).to(device)
            for once, twice in distortions(images, noise):
                near.append(distance(images, once).flatten().cpu())
                far.append(distance(images, twice).flatten().cpu())
        return super().scores(network, test) | {
            "distortion_order": scoring.share_ordered(torch.cat(near), torch.cat(far))
        }


def distortions(images: Tensor, noise: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Weak and twice as strong distortions of (B, 3, H, W) images in [-1, 1]: noise, blur, a shift to the right."""
    yield images + 0.05 * noise, images + 0.1 * noise
    size = images.shape[-1]
    half, quarter = (
        nn.functional.interpolate(
            nn.functional.interpolate(images, size=size // factor, mode="area"), size=size, mode="bilinear"
        )
        for factor in (2, 4)
    )
    yield half, quarter
    padded = nn.functional.pad(images, (2, 0, 0, 0), mode="replicate")
    yield padded[..., 1:-1], padded[..., :-2]
