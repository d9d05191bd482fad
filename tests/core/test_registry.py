import pytest

from core.errors import ReinvertError
from core.registry import Registry, unknown_name


def test_names_come_in_the_order_of_registration() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("two")(2)
    registry.register("one")(1)
    assert registry.names() == ["two", "one"]
    assert registry.get("one") == 1
    assert "two" in registry
    assert "three" not in registry


def test_a_name_is_taken_once() -> None:
    registry: Registry[int] = Registry("number")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="number 'one' is registered twice"):
        registry.register("one")(2)
    assert registry.get("one") == 1


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ReinvertError, match=r"unknown method 'hybird-psp'; did you mean 'hybrid-psp'\?"):
        raise unknown_name("method", "hybird-psp", ["psp", "hybrid-psp", "optimization-w-plus"])


def test_a_name_near_to_none_is_answered_with_all() -> None:
    assert str(unknown_name("domain", "zzz", ["faces", "cars"])) == "unknown domain 'zzz'; known: cars, faces"
    assert str(unknown_name("domain", "zzz", [])) == "unknown domain 'zzz'; known: none"


def test_errors_are_one_line() -> None:
    assert str(ReinvertError("first\n   second")) == "first second"
