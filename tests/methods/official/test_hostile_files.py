"""Files that try to run something, or to cost more than they are long: each is refused in one line and runs nothing."""

from __future__ import annotations

import argparse
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import ReinvertError
from methods.official import guess, pickles, read
from tests.methods.official import nvidia_files

MARKER = "ran"
COMMAND = f"echo 1 > {MARKER}"
CODE = f"open({MARKER!r}, 'w').close()"


class Calls:
    """Pickles as the call of ``function`` on ``arguments``, and maybe a state to set."""

    def __init__(self, function: Callable[..., Any], *arguments: object, state: object = None) -> None:
        self.answer = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.answer


def text(value: str) -> bytes:
    """The instruction for a text."""
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def program(*instructions: bytes, protocol: int = 4) -> bytes:
    return b"\x80" + bytes([protocol]) + b"".join(instructions) + b"."


def named(module: str, name: str) -> bytes:
    """A global by its name, as protocol 3 says it."""
    return f"c{module}\n{name}\n".encode()


def network(value: object) -> bytes:
    return pickle.dumps({"G_ema": value}, protocol=4)


def rebuilt(storage: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A tensor in NVIDIA's way, with whatever size it claims."""
    arguments = pickle.dumps((offset, size, stride, False), protocol=4)[2:-1].replace(b"\x94", b"")
    if arguments.startswith(b"\x95"):
        arguments = arguments[9:]
    head = named("torch._utils", "_rebuild_tensor_v2") + b"("
    loaded = named("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(storage)) + storage + b"\x85R"
    spread = arguments.removesuffix(b"t")  # (offset, size, stride, flag without its tuple
    return head + loaded + spread.removeprefix(b"(") + named("collections", "OrderedDict") + b")R" + b"tR"


def stored(values: int) -> bytes:
    stream = io.BytesIO()
    torch.save(torch.zeros(values)._typed_storage(), stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


EXECUTING = {
    "os.system by GLOBAL": program(named("os", "system"), text(COMMAND), b"\x85R"),
    "posix.system by STACK_GLOBAL": program(text("posix"), text("system"), b"\x93", text(COMMAND), b"\x85R"),
    "builtins.eval": program(named("builtins", "eval"), text(CODE), b"\x85R"),
    "builtins.exec": program(named("builtins", "exec"), text(CODE), b"\x85R"),
    "exec of old": program(named("__builtin__", "exec"), text(CODE), b"\x85R", protocol=2),
    "nested getattr": program(
        *(named("builtins", "getattr"), named("builtins", "__import__"), text("os"), b"\x85R", text("system")),
        *(b"\x86R", text(COMMAND), b"\x85R"),
    ),
    "dotted name below an allowed module": program(
        text("collections"), text("OrderedDict.__init__.__globals__"), b"\x93", text("eval"), b"\x85R"
    ),
    "subprocess": network(Calls(__import__("subprocess").Popen, COMMAND)),
    "INST": program(b"(" + text(COMMAND) + b"ios\nsystem\n"),
    "OBJ": program(b"(" + named("os", "system") + text(COMMAND) + b"o"),
    "OBJ of an allowed name": program(b"(" + named("collections", "OrderedDict") + b"o"),
    "NEWOBJ of a class": program(named("subprocess", "Popen"), text(COMMAND), b"\x85\x81"),
    "NEWOBJ_EX": program(named("subprocess", "Popen"), text(COMMAND), b"\x85}\x92"),
    "NEWOBJ_EX of an allowed name": program(named("collections", "OrderedDict"), b")}\x92"),
    "BUILD with __setstate__": program(
        *(named("collections", "OrderedDict"), b")R}", text("__setstate__"), named("os", "system"), b"s"),
        *(b"b", text(COMMAND), b"b"),
    ),
    "BUILD of an allowed function": program(named("collections", "OrderedDict"), b"}", text("__code__"), b"Ns", b"b"),
    "BUILD of attributes of a dictionary": program(
        named("dnnlib.util", "EasyDict"), b")\x81N}", text("__class__"), text("os"), b"s\x86b"
    ),
    "EXT1": program(b"\x82\x01"),
    "EXT2": program(b"\x83\x01\x00"),
    "EXT4": program(b"\x84\x01\x00\x00\x00"),
    "PERSID": program(b"Pos.system\n", protocol=2),
    "BINPERSID": program(text("os.system"), b"Q"),
    "out of band buffers": program(b"\x97", protocol=5),
    "frozen sets": program(b"(" + text("a") + b"\x91"),
    "numbers as text": program(b"I01\n"),
    "hostile encoding": program(named("_codecs", "encode"), text(COMMAND), text("rot13"), b"\x86R", protocol=2),
    "allowed call of a text": program(named("torch.storage", "_load_from_bytes"), text(COMMAND), b"\x85R"),
    "call of a text": program(text("os.system"), text(COMMAND), b"\x85R"),
    "allowed call of a hostile storage": program(
        *(named("torch.storage", "_load_from_bytes"), b"B"),
        struct.pack("<I", len(pickle.dumps(Calls(os.system, COMMAND)))) + pickle.dumps(Calls(os.system, COMMAND)),
        b"\x85R",
    ),
    "number type with code": program(named("numpy", "dtype"), text("O' + os.system"), b"\x85R"),
    "array of another class": program(
        named("numpy.core.multiarray", "_reconstruct"), named("os", "system"), b")C\x01b\x87R"
    ),
    "torch.load by name": program(named("torch", "load"), text("other.pt"), b"\x85R"),
    "TensorFlow": program(named("dnnlib.tflib.network", "Network"), b")\x81"),
}
"""What is tried -> a file that tries it; the first ones write the marker under Python's own reader."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(path: Path, layout: str = "stylegan2-nvidia") -> str:
    with pytest.raises(ReinvertError) as caught:
        read(path, layout)
    with pytest.raises(ReinvertError):
        guess(path)
    assert not (path.parent / MARKER).exists()
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    assert len(line) < 500
    return line


@pytest.mark.parametrize("name", EXECUTING)
def test_pickle_runs_nothing(name: str, folder: Path) -> None:
    path = folder / "ffhq.pkl"
    path.write_bytes(EXECUTING[name])
    line = refused(path)
    assert any(said in line for said in ("asks for", "instruction", "builds", "calls", "sets the state", "TensorFlow"))


@pytest.mark.parametrize("name", list(EXECUTING)[:6])
def test_the_payloads_work_elsewhere(name: str, folder: Path) -> None:
    """The marker is no decoration: Python's own reader executes these files."""
    pickle.loads(EXECUTING[name])
    assert (folder / MARKER).exists()


@pytest.mark.parametrize("name", EXECUTING)
def test_array_file_runs_nothing(name: str, folder: Path) -> None:
    path = folder / "pnet.npy"
    np.save(path, np.array({}, dtype=object), allow_pickle=True)
    written = path.read_bytes()
    header = written[: 10 + int.from_bytes(written[8:10], "little")]
    path.write_bytes(header + EXECUTING[name])
    refused(path, "mtcnn")


def test_embedded_source_is_not_run(folder: Path) -> None:
    content = nvidia_files.snapshot(nvidia_files.Persistent("Generator"))
    path = nvidia_files.write(folder / "ffhq.pkl", content)
    assert nvidia_files.SOURCE.encode() in path.read_bytes()
    with pytest.raises(ReinvertError, match="holds nothing where a generator"):
        read(path, "stylegan2-nvidia")
    assert not (folder / nvidia_files.MARKER).exists()


def nested(depth: int) -> bytes:
    """A list of twice the same list of twice ...: 2^depth lists for whoever follows them all."""
    doubling = b"".join(b"]q" + bytes([k + 1]) + b"(h" + bytes([k]) + b"h" + bytes([k]) + b"e" for k in range(depth))
    return b"]q\x00" + doubling


COSTLY = {
    "bytes that claim exabytes": program(b"\x8e" + struct.pack("<Q", 2**62)),
    "text that claims exabytes": program(b"\x8d" + struct.pack("<Q", 2**62)),
    "a place in memory beyond measure": program(b"Nr\xff\xff\xff\xff0"),
    "a recall of what is not there": program(b"j\xff\xff\xff\xff"),
    "a frame that claims exabytes": program(b"\x95" + struct.pack("<Q", 2**62) + b"N"),
    "marks without values": program(b"(" * 10000 + b"t"),
    "an empty stack": program(b"R"),
    "values from below a mark": program(b"N(R"),
    "a key that hashes without end": program(b"}" + b")" + b"\x85" * 50_000 + b"Ns"),
    "a set of what hashes without end": program(b"\x8f(" + b")" + b"\x85" * 50_000 + b"\x90"),
    "a dictionary inside itself": program(b"}q\x00" + text("G_ema") + b"h\x00s"),
    "a tensor larger than its storage": program(rebuilt(stored(4), (10**6,), (1,))),
    "a tensor of one number everywhere": program(rebuilt(stored(1), (2**40,), (0,))),
    "a tensor behind its storage": program(rebuilt(stored(4), (2,), (1,), offset=3)),
    "a tensor of negative size": program(rebuilt(stored(4), (-2,), (1,))),
    "an array larger than its bytes": program(
        *(named("numpy.core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"K\x00\x85C\x01b\x87R"),
        *(b"(K\x01J\x00\x00\x00\x40\x85", named("numpy", "dtype"), text("f4"), b"\x85R\x89C\x04abcdtb"),
    ),
    "lists inside lists": program(nested(60)),
}


@pytest.mark.parametrize("name", COSTLY)
def test_costs_are_bounded(name: str, folder: Path) -> None:
    path = folder / "ffhq.pkl"
    path.write_bytes(COSTLY[name])
    with pytest.raises(ReinvertError) as caught:
        read(path, "stylegan2-nvidia")
    line = str(caught.value)
    assert "\n" not in line
    for built in ("tensor", "array"):
        assert not name.startswith((f"a {built}", f"an {built}")) or f"{built} from what cannot be one" in line


def test_tensor_of_honest_size_is_built(folder: Path) -> None:
    """What the files of tensors above are like when they do not lie."""
    path = folder / "ffhq.pkl"
    path.write_bytes(program(rebuilt(stored(4), (2,), (1,), offset=2)))
    with pytest.raises(ReinvertError, match="holds one Tensor, not networks"):
        read(path, "stylegan2-nvidia")


def test_number_of_instructions_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_INSTRUCTIONS", 1000)
    path = folder / "ffhq.pkl"
    path.write_bytes(program(b"(" + b"N" * 1000 + b"t"))
    assert "more instructions" in refused(path)
    path.write_bytes(program(b"(" + b"N" * 900 + b"t"))
    with pytest.raises(ReinvertError, match="holds one tuple"):
        read(path, "stylegan2-nvidia")


def test_options_nested_beyond_measure(folder: Path) -> None:
    """Lists of lists that a reader would follow for ever, where options are read."""
    content = nvidia_files.snapshot(nvidia_files.Persistent("Generator"))
    inner: list[Any] = []
    for _ in range(60):
        inner = [inner, inner]
    content["G_ema"]._init_kwargs = {"z_dim": inner}
    with pytest.raises(ReinvertError, match="nested beyond measure"):
        read(nvidia_files.write(folder / "ffhq.pkl", content), "stylegan2-nvidia")


TORCH = {
    "os.system": Calls(os.system, COMMAND),
    "eval": Calls(eval, CODE),
    "getattr": Calls(getattr, "text", "upper"),
    "torch.load": Calls(torch.load, "other.pt"),
    "what adds to the accepted": Calls(torch.serialization.add_safe_globals, [os.system]),
    "a namespace with a hostile state": Calls(argparse.Namespace, state={"run": Calls(os.system, COMMAND)}),
    "a namespace called": Calls(argparse.Namespace.__init__, argparse.Namespace(), COMMAND),
    "an ordered dictionary of calls": OrderedDict(a=Calls(os.system, COMMAND)),
    "a module": torch.nn.Linear(2, 2),
}
"""Hostile content of PyTorch's own files."""


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", TORCH)
def test_torch_file_runs_nothing(name: str, legacy: bool, folder: Path) -> None:
    path = folder / "psp.pt"
    torch.save({"state_dict": TORCH[name]}, path, _use_new_zipfile_serialization=not legacy)
    before = torch.serialization.get_safe_globals()
    line = refused(path, "psp")
    assert "asks for" in line
    assert torch.serialization.get_safe_globals() == before


@pytest.mark.parametrize("name", list(EXECUTING)[:6])
def test_archive_with_a_hostile_program_runs_nothing(name: str, folder: Path) -> None:
    path = folder / "psp.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", EXECUTING[name])
        archive.writestr("archive/version", "3")
    refused(path, "psp")


def test_archive_that_unpacks_to_more(folder: Path) -> None:
    path = folder / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + b"N" * 10**7 + b".")
    assert "compressed entries" in refused(path, "psp")


def test_tensor_that_claims_more_than_is_stored(folder: Path) -> None:
    path = folder / "psp.pt"
    torch.save({"state_dict": {"encoder.x": torch.zeros(1).expand(2**40)}}, path)
    with pytest.raises(ReinvertError, match="stores less"):
        read(path, "psp")


def test_keys_with_absurd_numbers(folder: Path) -> None:
    path = folder / "generator.pt"
    torch.save({"g_ema": {"input.input": torch.zeros(1), "noises.noise_99999999": torch.zeros(1)}}, path)
    with pytest.raises(ReinvertError, match="absurd number"):
        read(path, "stylegan2-rosinality")
