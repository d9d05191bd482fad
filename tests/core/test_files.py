import errno
import json
from pathlib import Path

import numpy as np
import pydantic
import pytest

from core.errors import ReinvertError
from core.files import (
    atomic_path,
    atomic_write_csv,
    atomic_write_json,
    atomic_write_npz,
    atomic_write_text,
    is_disk_full,
    read_json_as,
    sha256_of,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_appears_whole_in_folders_made_for_it(tmp_path: Path) -> None:
    atomic_write_text(tmp_path / "a" / "b.txt", "grün\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün\n".encode()
    assert names(tmp_path) == ["a", "b.txt"]


def test_the_temporary_name_keeps_the_suffix(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "x.npz") as temporary:
        assert temporary.suffix == ".npz"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"1")


@pytest.mark.parametrize("interruption", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path, interruption: type[BaseException]) -> None:
    target = tmp_path / "x.txt"
    target.write_text("before")
    with pytest.raises(interruption), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise interruption
    assert target.read_text() == "before"
    assert names(tmp_path) == ["x.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    with pytest.raises(ReinvertError, match="disk is full") as caught, atomic_path(tmp_path / "x.txt") as temporary:
        temporary.write_text("half")
        raise OSError(number, "full")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []


def test_a_full_disk_is_known_in_the_words_of_torch_and_safetensors() -> None:
    assert is_disk_full(RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"))
    assert is_disk_full(Exception("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(errno.ENOENT, "No such file"))


def test_a_place_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ReinvertError, match="cannot write"):
        atomic_write_text(tmp_path / "file" / "x.txt", "")


def test_json_is_sorted_and_refuses_what_json_does_not_have(tmp_path: Path) -> None:
    atomic_write_json(tmp_path / "x.json", {"b": 1, "a": [0.1]})
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text) == {"a": [0.1], "b": 1}
    assert text.index('"a"') < text.index('"b"')
    assert text.endswith("}\n")
    with pytest.raises(ValueError, match="JSON"):
        atomic_write_json(tmp_path / "y.json", {"a": float("nan")})
    assert names(tmp_path) == ["x.json"]


def test_sha256_of_the_standard_s_own_example(tmp_path: Path) -> None:
    # FIPS 180-2, appendix B.1.
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_log_has_a_column_for_whatever_sets_in_later(tmp_path: Path) -> None:
    rows: list[dict[str, str | float]] = [{"step": 1, "loss": 1 / 3}, {"step": "2", "loss": 2e-7, "critic": 4.0}]
    atomic_write_csv(tmp_path / "log.csv", rows)
    assert (tmp_path / "log.csv").read_bytes() == b"step,loss,critic\n1,0.333333,\n2,2e-07,4\n"
    atomic_write_csv(tmp_path / "log.csv", rows[:1], ["loss", "step", "fid"])
    assert (tmp_path / "log.csv").read_text() == "loss,step,fid\n0.333333,1,\n"


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_and_equal_arrays_give_equal_files(tmp_path: Path, compressed: bool) -> None:
    arrays = {"a": np.arange(1000, dtype=np.int16), "word": np.array("text")}
    for name in ("first", "second"):
        atomic_write_npz(tmp_path / f"{name}.npz", arrays, compressed)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    with np.load(tmp_path / "first.npz", allow_pickle=False) as stored:
        assert {name: stored[name].tolist() for name in stored.files} == {
            name: array.tolist() for name, array in arrays.items()
        }


class Point(pydantic.BaseModel):
    x: int


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"{", "is not valid JSON; mend it"), (b'{"x": "y"}', r"is no point \(at x\); mend it"), (b"\xff", "valid JSON")],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "point.json"
    with pytest.raises(FileNotFoundError):
        read_json_as(Point, path, "point", "mend it")
    path.write_bytes(b'{"x": 3}')
    assert read_json_as(Point, path, "point", "mend it").x == 3
    path.write_bytes(content)
    with pytest.raises(ReinvertError, match=said):
        read_json_as(Point, path, "point", "mend it")
