"""Syndrome-trellis codes against exhaustive search, the C library's known numbers, and their own inverse."""

from itertools import product

import numpy as np
import pytest

from core.errors import ReinvertError
from methods.deep_hiding import code_of, hide, message_of, reveal
from methods.stc import block_widths, columns_of, embed, extract, glibc_random


def test_the_platform_generator_gives_glibcs_known_numbers() -> None:
    assert glibc_random(5) == [1804289383, 846930886, 1681692777, 1714636915, 1957747793]


def test_columns_are_known_ones_or_drawn_ones_with_both_ends_set() -> None:
    assert columns_of(2, 7) == (109, 71)
    assert len(columns_of(20, 12)) == 20
    for width, height in ((1, 7), (32, 7), (38, 10), (2, 5)):
        drawn = columns_of(width, height)
        assert len(set(drawn)) == width
        assert all(column & 1 and column >> (height - 1) == 1 for column in drawn)
    with pytest.raises(ReinvertError, match="width 33"):
        columns_of(33, 7)


@pytest.mark.parametrize(("cover", "message"), [(13, 4), (12, 12), (711, 300), (3793, 100)])
def test_block_widths_are_the_neighbours_of_the_ratio_and_add_up(cover: int, message: int) -> None:
    widths = block_widths(cover, message)
    assert widths.sum() == cover
    assert set(widths) <= {cover // message, -(-cover // message)}


@pytest.mark.parametrize(("bits", "hidden", "height"), [(8, 4, 3), (11, 3, 4), (10, 7, 3)])
def test_embedding_is_the_cheapest_stego_that_carries_the_message(bits: int, hidden: int, height: int) -> None:
    random = np.random.default_rng(bits)
    cover, message = random.integers(0, 2, bits), random.integers(0, 2, hidden)
    costs = random.integers(1, 64, bits) / 64  # sums of these are exact in single precision
    embedded = embed(cover, message, costs, height)
    assert np.array_equal(extract(embedded.stego, hidden, height), message)
    assert costs[embedded.stego != cover].sum() == embedded.cost
    carrying = [
        costs[np.array(stego) != cover].sum()
        for stego in product((0, 1), repeat=bits)
        if np.array_equal(extract(np.array(stego), hidden, height), message)
    ]
    assert embedded.cost == min(carrying)


def test_wet_bits_stay() -> None:
    random = np.random.default_rng(5)
    cover, message = random.integers(0, 2, 200), random.integers(0, 2, 40)
    costs = np.where(np.arange(200) % 4 == 0, np.inf, 1.0)
    stego = embed(cover, message, costs, 7).stego
    assert np.array_equal(stego[::4], cover[::4])
    assert np.array_equal(extract(stego, 40, 7), message)
    with pytest.raises(ReinvertError, match="no room"):
        embed(np.zeros(8), np.ones(4), np.full(8, np.inf), 3)


def test_mistakes_are_named() -> None:
    with pytest.raises(ReinvertError, match="row of bits"):
        embed(np.array([0, 2]), np.array([1]), np.ones(2))
    with pytest.raises(ReinvertError, match="one cost"):
        embed(np.array([0, 1]), np.array([1]), np.ones(3))
    with pytest.raises(ReinvertError, match="does not go into"):
        extract(np.zeros(3), 4)


def test_codes_become_nine_bits_a_number_and_back() -> None:
    code = np.array([[-3.4, 0.5], [1.5, 255.0]])
    message = message_of(code)
    assert message[:9].tolist() == [1, 0, 0, 0, 0, 0, 0, 1, 1]
    assert code_of(message, (2, 2)).tolist() == [[-3, 0], [2, 255]]
    with pytest.raises(ReinvertError, match="256"):
        message_of(np.array([256.0]))


def test_a_hidden_code_is_found_and_only_lowest_bits_change() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
    code = 10 * random.standard_normal((2, 6))
    stego = hide(picture, code, height=7)
    assert np.array_equal(stego >> 1, picture >> 1)
    assert np.array_equal(reveal(stego, (2, 6), height=7), np.rint(code))
