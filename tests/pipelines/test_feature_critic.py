"""The feature critic of generator training."""

import torch

from pipelines.feature_critic import FeatureCritic, critic_loss, generator_loss


def test_hinge_losses_closed_form() -> None:
    real, fake = [torch.full((2, 1, 3, 3), 0.5), torch.full((2, 1, 1, 1), 3.0)], [torch.zeros(2, 1, 3, 3)] * 2
    # Layer one: 1 - 0.5 and 1 + 0; layer two: margin kept, and 1 + 0.
    torch.testing.assert_close(critic_loss(real, fake), torch.tensor((0.5 + 1 + 0 + 1) / 2))
    torch.testing.assert_close(generator_loss(real), torch.tensor(-(0.5 + 3) / 2))


def test_it_learns_to_tell_feature_maps_apart_and_is_bounded() -> None:
    torch.manual_seed(0)
    critic = FeatureCritic([4, 6], width=8)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01, betas=(0.0, 0.99))

    def maps(sign: float) -> list[torch.Tensor]:
        drawn = [torch.randn(8, 4, 4, 4), torch.randn(8, 6, 2, 2)]
        return [torch.nn.functional.normalize(found + 0.5 * sign, dim=1) for found in drawn]

    first = float(critic_loss(critic(maps(1)), critic(maps(-1))).detach())
    for _ in range(60):
        loss = critic_loss(critic(maps(1)), critic(maps(-1)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.6 * first
    # Spectral normalisation: every weight matrix keeps a largest singular value of 1.
    for head in critic.heads:
        for layer in (head[0], head[2], head[4]):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2) < 1.1
