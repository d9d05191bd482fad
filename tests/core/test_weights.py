from pathlib import Path

import pytest
import torch

from core.errors import ReinvertError
from core.weights import (
    CARD_FILE,
    WEIGHTS_FILE,
    WeightsCard,
    code_version,
    load_card,
    load_weights,
    save_weights,
    weights_folder,
)


def card(**changes: object) -> WeightsCard:
    values = {
        "name": "tiny", "domain": "faces", "architecture": "linear", "arguments": {"width": 3}, "recipe": 1,
        "images_seen": 8, "seed": 0, "device": "cpu", "code_version": code_version(), "scores": {"auc": 0.5},
    }  # fmt: skip
    return WeightsCard.model_validate({**values, **changes})


def state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, generator=generator)
    return {"weight": weight, "tied": weight, "transposed": weight.T, "count": torch.tensor([7])}


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = save_weights(tmp_path / "w", state(), card())
    loaded, loaded_card = load_weights(tmp_path / "w")
    assert loaded_card == saved
    assert saved.parameters == 12 * 3 + 1
    assert saved.bytes == (tmp_path / "w" / WEIGHTS_FILE).stat().st_size
    assert loaded.keys() == state().keys()
    for key, value in state().items():
        assert torch.equal(loaded[key], value)
        assert loaded[key].dtype == value.dtype


def test_half_precision_is_half_the_bytes_and_loads_as_float32(tmp_path: Path) -> None:
    weights = {"weight": torch.linspace(-1, 1, 1000)}
    full = save_weights(tmp_path / "full", weights, card())
    half = save_weights(tmp_path / "half", weights, card(dtype="float16"))
    assert full.bytes - half.bytes == pytest.approx(2000, abs=8)  # the header is padded to 8 bytes
    loaded, _ = load_weights(tmp_path / "half")
    assert loaded["weight"].dtype == torch.float32
    # Half precision has 11 significant bits: rounding is off by at most 2^-12 below 1.
    torch.testing.assert_close(loaded["weight"], weights["weight"], rtol=0, atol=2**-12)


def test_whole_numbers_are_a_quarter_of_the_bytes_and_off_by_half_a_step(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    scales = torch.logspace(-4, 4, 50).reshape(50, 1, 1, 1)  # channels of very different size lose alike
    weights = {
        "convolution": torch.randn(50, 20, 3, 3, generator=generator) * scales,
        "modulated": torch.randn(1, 50, 20, 3, 3, generator=generator) * scales,
        "silent": torch.zeros(3, 4),
        "bias": torch.randn(50, generator=generator),
        "count": torch.tensor([7]),
    }
    full = save_weights(tmp_path / "full", weights, card())
    saved = save_weights(tmp_path / "whole", weights, card(dtype="int8"))
    assert saved.bytes < full.bytes / 3.5  # scales and keys are the rest
    assert saved.parameters == full.parameters == 2 * 9000 + 12 + 50 + 1
    loaded, _ = load_weights(tmp_path / "whole")
    assert loaded.keys() == weights.keys()
    for key, channels in (("convolution", (1, 2, 3)), ("modulated", (0, 2, 3, 4))):
        step = weights[key].abs().amax(channels, keepdim=True) / 127
        assert ((loaded[key] - weights[key]).abs() <= step * 0.5001).all()
    assert torch.equal(loaded["silent"], weights["silent"])
    assert torch.equal(loaded["bias"], weights["bias"].half().float())
    assert torch.equal(loaded["count"], weights["count"])
    # What was rounded once is not rounded again.
    again = save_weights(tmp_path / "again", loaded, card(dtype="int8"))
    torch.testing.assert_close(load_weights(tmp_path / "again")[0], loaded, rtol=1e-6, atol=0)
    assert again.bytes == saved.bytes


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    assert save_weights(tmp_path / "a", state(), card()).sha256 == save_weights(tmp_path / "b", state(), card()).sha256


def test_values_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="'w' of tiny is not finite as float16"):
        save_weights(tmp_path / "w", {"w": torch.tensor([1e6])}, card(dtype="float16"))
    with pytest.raises(ReinvertError, match="diverged"):
        save_weights(tmp_path / "w", {"w": torch.tensor([float("nan")])}, card())
    assert not (tmp_path / "w").exists()


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ReinvertError, match="no weights in .*dvc pull"):
        load_weights(tmp_path / "nothing")
    save_weights(tmp_path / "w", state(), card())
    (tmp_path / "w" / WEIGHTS_FILE).unlink()
    with pytest.raises(ReinvertError, match="missing; get it with 'dvc pull'"):
        load_weights(tmp_path / "w")


def test_altered_and_truncated_weights_are_noticed(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", state(), card())
    path = tmp_path / "w" / WEIGHTS_FILE
    whole = path.read_bytes()
    for altered in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[: len(whole) // 2], b""):
        path.write_bytes(altered)
        with pytest.raises(ReinvertError, match="was altered"):
            load_weights(tmp_path / "w")


def test_a_damaged_card_is_one_line(tmp_path: Path) -> None:
    save_weights(tmp_path / "w", state(), card())
    path = tmp_path / "w" / CARD_FILE
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ReinvertError, match="damaged"):
        load_card(tmp_path / "w")


def test_weights_lie_one_level_below_the_domain() -> None:
    assert weights_folder("weights", "faces", "psp") == Path("weights/faces/psp")
    assert weights_folder("weights", "faces", "hyperinverter/w-encoder") == Path(
        "weights/faces/hyperinverter-w-encoder"
    )
