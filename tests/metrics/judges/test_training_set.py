"""The training sequence: splits joined, persons kept apart, every epoch complete."""

import numpy as np
import torch

from metrics.judges.training_set import TrainingSet, batch_rows


class _Split:
    """`count` images whose pixels are `value` + index."""

    def __init__(self, count: int, value: int) -> None:
        self.count, self.value = count, value

    def __len__(self) -> int:
        return self.count

    def images(self, indices: object) -> np.ndarray:
        rows = np.asarray(indices)
        return (self.value + rows)[:, None, None, None].repeat(3, 3).astype(np.uint8)

    def labels(self, indices: object) -> np.ndarray:
        return (np.asarray(indices) % 2)[:, None, None].astype(np.uint8)

    @property
    def attributes(self) -> dict[str, torch.Tensor]:
        return {"identity": torch.arange(self.count) // 2, "age": torch.arange(self.count) + float(self.value)}


def test_splits_are_joined_and_repeated() -> None:
    training = TrainingSet([(_Split(4, 0), 1), (_Split(2, 100), 2)])
    assert len(training) == 8
    images, labels = training.pixels(np.array([7, 0, 5, 3, 4]))
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [101, 0, 101, 3, 100]
    assert labels.flatten().tolist() == [1, 0, 1, 1, 0]
    assert training.attributes["age"][[7, 0, 5, 3, 4]].tolist() == [101, 0, 101, 3, 100]


def test_people_of_different_splits_stay_different_and_repeats_stay_the_same() -> None:
    training = TrainingSet([(_Split(4, 0), 1), (_Split(2, 100), 2)])
    assert training.attributes["identity"].tolist() == [0, 0, 1, 1, 2, 2, 2, 2]


def test_label_counts_of_a_sample() -> None:
    assert TrainingSet([(_Split(10, 0), 1)]).label_counts(3, sample=1000).tolist() == [5, 5, 0]


def test_batches_go_through_every_epoch_once_and_over_its_end() -> None:
    rows = np.concatenate([batch_rows(seed=0, step=step, batch=4, size=10) for step in range(5)])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert list(rows[:10]) != list(rows[10:])
    assert list(batch_rows(0, 2, 4, 10)) == list(rows[8:12])


def test_a_batch_may_be_larger_than_an_epoch() -> None:
    assert np.bincount(batch_rows(seed=1, step=0, batch=25, size=10)).tolist().count(2) == 5
