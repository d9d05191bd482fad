"""The mapping network learns where in W an autoencoder's codes are: a regression of vectors, half a minute on one core.

After `pipelines/autoencoder.py` the synthesis network draws good images from codes of training images, but the mapping
network does not know these. It learns the symmetric linear map under which z gets the mean and the covariance of the
codes, so that samples resemble training images from the first adversarial step on, which is where it learns the rest.
Codes drawn from that normal distribution itself came within a third of the FID of the codes' own reconstructions; a
small GAN in W did worse.
"""

import torch
from torch import Tensor, nn

from pipelines.generator_config import CodeFitting

_LOGGED_EVERY = 100


def normal_map(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (n, D) -> their mean (D,) and the symmetric root (D, D) of their covariance."""
    values, vectors = torch.linalg.eigh(torch.cov(codes.T))
    return codes.mean(0), (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def fit_mapping(mapping: nn.Module, codes: Tensor, settings: CodeFitting, seed: int) -> list[dict[str, float]]:
    """Train `mapping`, in place, to give z the mean and the covariance of codes.

    Args:
        mapping: z (B, D) ~ N(0, 1) -> w (B, D), the same for all multiples of a z.
        codes: (n, D) of images, on the mapping's device.
        settings: steps, batch and rate, which falls linearly to 0.
        seed: of the z.

    Returns:
        What to log: step and mean squared difference per entry, of every hundredth step and the last one.
    """
    source = torch.Generator().manual_seed(seed)
    mean, root = normal_map(codes)
    optimizer = torch.optim.Adam(mapping.parameters(), betas=(0.9, 0.99))
    log = []
    for step in range(settings.steps):
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 - step / settings.steps)
        z = torch.randn(settings.batch, codes.shape[1], generator=source).to(codes.device)
        # The network sees the direction of z only, so that is what the wanted code is a function of.
        direction = z * z.square().mean(1, keepdim=True).rsqrt()
        loss = (mapping(z) - (direction @ root + mean)).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if step % _LOGGED_EVERY == 0 or step == settings.steps - 1:
            log.append({"step": step, "difference": float(loss.detach())})
    return log
