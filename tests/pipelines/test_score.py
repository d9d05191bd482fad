"""`reinvert score`: pairing folders, what is refused, what failures count as, what is written."""

import csv
import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from core.config import load_config
from core.errors import ReinvertError
from metrics import protocols
from metrics.judges.ir_se import FaceNetwork
from metrics.judges.mtcnn import OutputNetwork, ProposalNetwork, RefinementNetwork
from metrics.pixel import HIGHEST_PSNR
from pipelines import evaluate_pairs, score
from pipelines.cli import app
from pipelines.score import Settings, choose_protocols, printed, score_folders
from pipelines.score_folders import FolderPairs, pair_folders, read, size_of
from pipelines.score_networks import ADDRESSES, Loaded, find, load_networks
from tests.conftest import ROOT

WHOLE, INCOMPLETE = Settings(4, 100, 0, False), Settings(4, 100, 0, True)
PIXELS = [protocols.get("l2"), protocols.get("psnr")]


@pytest.fixture(autouse=True)
def _code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_pairs, "code_sha256", lambda: "code")


def picture(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, (size, size, 3), dtype=np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Ten pairs; every reconstruction is lighter by five levels."""
    for number in range(10):
        for side, more in (("real", 0), ("fake", 5)):
            path = tmp_path / side / "sub" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(number) + np.uint8(more)).save(path)
    return tmp_path / "real", tmp_path / "fake"


def scored(
    folders: tuple[Path, Path], settings: Settings = WHOLE, wanted: list[protocols.Protocol] = PIXELS
) -> tuple[dict[str, Any], list[str]]:
    lines: list[str] = []
    work = folders[0].parent / "work"
    found = score_folders(*folders, wanted, lambda _: Loaded({}, {}), settings, work, torch.device("cpu"), lines.append)
    return found, lines


def test_scores_of_folders_that_fit(folders: tuple[Path, Path]) -> None:
    found, lines = scored(folders)
    assert lines == []
    # The side is in the id where all images share one.
    entry = found["scores"]["l2@32/1"]
    assert entry["mean"] == pytest.approx((5 / 255) ** 2, rel=1e-5)  # images pass through single precision
    assert (entry["n"], entry["n_failed"], entry["n_left_out"]) == (10, 0, 0)
    assert [row["real"] for row in found["images"]] == [f"sub/{number}.png" for number in range(10)]
    assert found["protocols"]["l2@32/1"]["failure"] == "the worst value"


def test_what_does_not_fit_is_listed_and_nothing_is_guessed(folders: tuple[Path, Path]) -> None:
    real, fake = folders
    (fake / "sub" / "0.png").unlink()
    Image.fromarray(picture(0)).save(fake / "sub" / "00.png")
    Image.fromarray(picture(1, 40)).save(fake / "sub" / "1.png")
    (fake / "sub" / "2.png").write_bytes(b"no picture")
    whole = (fake / "sub" / "3.png").read_bytes()
    (fake / "sub" / "3.png").write_bytes(whole[: len(whole) // 2])  # its head is sound
    (real / "notes.txt").write_text("mine")
    with pytest.raises(ReinvertError, match="1 missing, 1 extra, 1 differently sized, 1 unreadable.*--incomplete.*8 p"):
        scored(folders)
    found, lines = scored(folders, INCOMPLETE)
    assert lines[0] == "missing: sub/0.png"
    assert lines[1] == "extra: sub/00.png"
    assert lines[2] == "differently sized: sub/1.png: 40x40, its real image is 32x32"
    assert "2.png" in lines[3]
    assert "3.png' is truncated or damaged" in lines[4]
    entry = found["scores"]["l2@32/1"]
    assert (entry["n"], entry["n_failed"], found["pairs"], found["ignored_files"]) == (8, 2, 8, 1)
    # Two failures at the worst value, six sound ones.
    assert entry["mean"] == pytest.approx((2 * 1 + 6 * (5 / 255) ** 2) / 8, rel=1e-5)
    assert [row["failed"] for row in found["images"]][:3] == ["l2@32/1 psnr@32/1"] * 2 + [""]
    text = printed(found)
    assert "8 pairs scored; the folders do not fit: 1 missing, 1 extra, 1 differently sized, 2 unreadable" in text
    # Everything is measured by now: asked again without the flag, the truncated picture is refused, too.
    for path in (fake / "sub" / "00.png", fake / "sub" / "1.png", fake / "sub" / "2.png"):
        path.unlink()
    for name in ("0", "1", "2"):
        (real / "sub" / f"{name}.png").unlink()
    with pytest.raises(ReinvertError, match="0 missing, 0 extra, 0 differently sized, 1 unreadable"):
        scored(folders)


def test_many_problems_are_cut_short_on_screen_only(folders: tuple[Path, Path]) -> None:
    for number in range(100, 130):
        Image.fromarray(picture(0)).save(folders[1] / f"{number}.png")
    found, lines = scored(folders, INCOMPLETE)
    assert len(lines) == score.LISTED + 1
    assert lines[-1] == "extra: and 10 more"
    assert len(found["problems"]["extra"]) == 30


def test_floats_may_fail_and_are_not_quantised(folders: tuple[Path, Path]) -> None:
    for number in (4, 5):
        (folders[1] / "sub" / f"{number}.png").unlink()
        # A hundredth of a level, which no 8-bit file holds.
        floats = picture(number).astype(np.float32) / 127.5 - 1 + 0.01 / 127.5
        floats[3, 3, 1] = np.nan if number == 4 else floats[3, 3, 1]
        np.save(folders[1] / "sub" / f"{number}.npy", floats)
    found, _ = scored(folders)
    rows = found["images"]
    assert rows[4]["failed"] == "l2@32/1 psnr@32/1"
    assert (rows[4]["l2@32/1"], rows[4]["psnr@32/1"]) == (1.0, 0.0)
    assert rows[5]["l2@32/1"] == pytest.approx((0.01 / 255) ** 2, rel=0.05)  # single precision
    assert rows[5]["psnr@32/1"] < HIGHEST_PSNR
    assert found["scores"]["psnr@32/1"]["n_failed"] == 1


def test_pictures_of_every_kind(folders: tuple[Path, Path]) -> None:
    real, fake = (folder / "sub" for folder in folders)
    few = (picture(0) // 64 * 64).astype(np.uint8)  # 64 colours, so a palette holds them all
    grey = Image.fromarray(picture(1)).convert("L")
    palette = Image.fromarray(few).quantize(64, dither=Image.Dither.NONE)
    opaque = Image.fromarray(picture(2)).convert("RGBA")
    for number, written in enumerate((palette, grey, opaque)):
        written.convert("RGB").save(real / f"{number}.png")
        written.save(fake / f"{number}.png")
    for folder in (real, fake):
        (folder / "3.png").rename(folder / "3.PNG")
    found, lines = scored(folders)
    assert lines == []
    assert [row["l2@32/1"] for row in found["images"][:3]] == [0, 0, 0]
    assert found["images"][3]["reconstruction"] == "sub/3.PNG"
    # What would lose something as 8-bit RGB is refused by its head, before any picture is measured.
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(fake / "4.png")
    (fake / "5.png").unlink()
    Image.fromarray(picture(5)).convert("CMYK").save(fake / "5.jpg")
    (fake / "6.png").unlink()
    Image.fromarray(picture(6)).save(fake / "6.webp", save_all=True, append_images=[grey.convert("RGB")])
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32)).save(real / "7.png")
    pairs = pair_folders(*folders, PIXELS)
    assert [line.partition("' ")[2] for line in pairs.problems.unreadable] == [
        "has channels 'I;16'", "has channels 'CMYK'", "holds 2 pictures", "has channels 'I;16'"
    ]  # fmt: skip
    # Without its real image there is no pair; a reconstruction that cannot be read is a failed one.
    assert (len(pairs), pairs.headless) == (9, {4, 5, 6})


def test_a_turned_png_has_the_size_it_is_read_with(tmp_path: Path) -> None:
    flat = Image.fromarray(picture(0)[:20])
    exif = flat.getexif()
    exif[0x0112] = 6
    flat.save(tmp_path / "turned.png", exif=exif)
    assert size_of(tmp_path / "turned.png") == (20, 32) == read(tmp_path / "turned.png").shape[1::-1]


def test_a_reason_is_found_again_when_a_finished_run_is_asked_again(folders: tuple[Path, Path]) -> None:
    file = folders[1] / "sub" / "3.png"
    Image.fromarray(np.full((32, 32, 4), 100, np.uint8)).save(file)
    reason = f"unreadable: '{file}' has transparent pixels"
    for _ in range(2):  # the second time from finished chunks
        with pytest.raises(ReinvertError, match="1 unreadable"):
            scored(folders)
        assert scored(folders, INCOMPLETE)[1] == [reason]


def test_reading(tmp_path: Path) -> None:
    for array, reason in (
        (np.zeros((4, 4)), "give \\(H, W, 3\\)"),
        (np.zeros((4, 4, 3), np.int32), "give \\(H, W, 3\\)"),
        (np.full((4, 4, 3), 255.0), "beyond \\[-1, 1\\]"),
    ):
        np.save(tmp_path / "a.npy", array)
        with pytest.raises(ReinvertError, match=reason):
            read(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    for function in (read, size_of):
        with pytest.raises(ReinvertError, match="write it again"):
            function(tmp_path / "a.npy")
    tall = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = tall.getexif()
    exif[0x0112] = 6
    tall.save(tmp_path / "turned.jpg", exif=exif)
    assert size_of(tmp_path / "turned.jpg") == (20, 30)
    assert read(tmp_path / "turned.jpg").shape == (30, 20, 3)


def test_names_decide_and_suffixes_do_not(folders: tuple[Path, Path]) -> None:
    real, fake = folders
    Image.open(fake / "sub" / "1.png").save(fake / "sub" / "1.bmp")
    with pytest.raises(ReinvertError, match="have one name"):
        pair_folders(real, fake, PIXELS)
    (fake / "sub" / "1.png").unlink()
    pairs = pair_folders(real, fake, PIXELS)
    assert not pairs.problems
    assert pairs.files[1] == ("sub/1.png", "sub/1.bmp")


def test_one_name_may_be_spelt_with_combining_marks(folders: tuple[Path, Path]) -> None:
    # As macOS writes names: the same text for a reader, other bytes.
    for folder, form in zip(folders, ("NFC", "NFD"), strict=True):
        (folder / "sub" / "0.png").rename(folder / "sub" / unicodedata.normalize(form, "Zoë é.png"))
    pairs = pair_folders(*folders, PIXELS)
    assert not pairs.problems
    assert len(pairs) == 10
    for form in ("NFC", "NFD"):
        Image.fromarray(picture(0)).save(folders[1] / "sub" / unicodedata.normalize(form, "Zoë é.png"))
    with pytest.raises(ReinvertError, match="have one name"):
        pair_folders(*folders, PIXELS)


def test_a_name_that_no_result_file_can_hold_is_refused_at_once(folders: tuple[Path, Path]) -> None:
    name = os.fsdecode(b"\xff.png")
    for folder in folders:
        try:
            (folder / "sub" / "0.png").rename(folder / "sub" / name)
        except OSError:
            pytest.skip("this file system takes no such names")
    with pytest.raises(ReinvertError, match="not UTF-8; rename it"):
        scored(folders)


def test_protocols_that_pair_by_position_or_bring_images_to_a_size(folders: tuple[Path, Path]) -> None:
    real, fake = folders
    by_position = [protocols.get("hyperinverter-psnr")]
    assert by_position[0].pairing == "by position in sorted listings"
    assert len(pair_folders(real, fake, by_position)) == 10
    (fake / "sub" / "0.png").unlink()
    with pytest.raises(ReinvertError, match="pairs other files than their names do"):
        pair_folders(real, fake, by_position)
    Image.fromarray(picture(1, 64)).save(fake / "sub" / "1.png")
    assert pair_folders(real, fake, PIXELS).problems.differently_sized
    assert not pair_folders(real, fake, [protocols.get("psp-l2")]).problems.differently_sized
    assert pair_folders(real, fake, [protocols.get("psp-l2"), *PIXELS]).problems.differently_sized


def test_a_paper_protocol_leaves_out_what_its_code_did(folders: tuple[Path, Path]) -> None:
    np.save(folders[1] / "sub" / "3.npy", np.full((32, 32, 3), np.nan, np.float32))
    (folders[1] / "sub" / "3.png").unlink()
    found, _ = scored(folders, wanted=[protocols.get("psp-l2")])
    (entry,) = found["scores"].values()
    # Of ten, batches of four leave out two, and the failure is dropped; each is counted.
    assert (entry["n"], entry["n_failed"], entry["n_left_out"]) == (7, 1, 3)
    assert "are of 2,824 images, this is of 7" in printed(found)


def test_folders_without_pairs(folders: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReinvertError, match="holds no pictures"):
        pair_folders(folders[0], tmp_path / "empty", PIXELS)
    for no_folder in (tmp_path / "none", folders[0] / "sub" / "0.png"):
        with pytest.raises(ReinvertError, match="is not a folder"):
            pair_folders(folders[0], no_folder, PIXELS)
    # A perfect score of images against themselves is nobody's aim.
    with pytest.raises(ReinvertError, match="are one folder"):
        pair_folders(folders[0], folders[0].parent / "fake" / ".." / "real", PIXELS)
    Image.fromarray(picture(0)).save(tmp_path / "empty" / "other.png")
    with pytest.raises(ReinvertError, match="no pair can be scored"):
        scored((folders[0], tmp_path / "empty"), INCOMPLETE)


def test_choosing_protocols() -> None:
    config = load_config(ROOT / "params.yaml")
    wanted, left_out = choose_protocols(["strict"], "faces", None)
    assert wanted == protocols.suite("strict")
    assert left_out == []
    assert [one.id for one in choose_protocols(["l2@64", "psnr", "l2@64/1"], "faces", None)[0]] == [
        "l2@64/1", "psnr@native/1"
    ]  # fmt: skip
    with pytest.raises(ReinvertError, match="did you mean 'psnr'"):
        choose_protocols(["pnsr"], "faces", None)
    with pytest.raises(ReinvertError, match="inside the project"):
        choose_protocols(["embedded"], "faces", None)
    wanted, left_out = choose_protocols(["embedded"], "churches", config)
    assert "id" not in {one.metric for one in wanted}
    assert "has no judge 'identity-judge'" in left_out[0]
    with pytest.raises(ReinvertError, match="did you mean 'faces'"):
        choose_protocols(["embedded"], "face", config)
    with pytest.raises(ReinvertError, match="has no judge"):
        choose_protocols(["id-cosine-embedded"], "churches", config)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("lpips-alex", "alexnet-owt-7be5be79.pth"),
        ("fid-inception", "pt_inception-2015-12-05-6726825d.pth"),
        ("hyperinverter-fid", "weights-inception-2015-12-05-6726825d.pth"),
        ("id-curricularface", "CurricularFace_Backbone.pth"),
        ("lpips-alex-embedded", "faces/perceptual"),
    ],
)
def test_a_missing_network_is_named_with_the_way_to_get_it(
    name: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    one = protocols.get(name)
    with pytest.raises(ReinvertError) as error:
        load_networks([one], tmp_path / "weights", "faces", tmp_path / "checkpoints", torch.device("cpu"))
    assert file in str(error.value)
    remedy = ADDRESSES.get(file, "reinvert weights fetch" if file.startswith("Curricular") else "dvc pull")
    assert remedy in str(error.value)


@pytest.mark.parametrize("sees_faces", [True, False])
def test_identity_is_measured_with_the_authors_files_and_a_missing_face_is_a_failure(
    folders: tuple[Path, Path], tmp_path: Path, sees_faces: bool
) -> None:
    from tests.methods.official.files import BODY, as_arrays

    torch.manual_seed(0)
    checkpoints = tmp_path / "checkpoints"
    last = OutputNetwork()
    with torch.no_grad():
        last.conv6_1.bias.copy_(torch.tensor([-9.0, 9.0] if sees_faces else [9.0, -9.0]))
    for name, network in (("pnet", ProposalNetwork()), ("rnet", RefinementNetwork()), ("onet", last)):
        (checkpoints / f"mtcnn-{name}").mkdir(parents=True)
        np.save(checkpoints / f"mtcnn-{name}" / f"{name}.npy", as_arrays(network), allow_pickle=True)
    (checkpoints / "curricularface-ir101").mkdir()
    identity = FaceNetwork(112, **BODY, embedding=7, excite=False, affine=False)
    torch.save(identity.state_dict(), checkpoints / "curricularface-ir101" / "CurricularFace_Backbone.pth")

    def load(wanted: Any) -> Loaded:
        return load_networks(wanted, tmp_path / "weights", "faces", checkpoints, torch.device("cpu"))

    work, lines = tmp_path / "work", list[str]()
    one = [protocols.get("id-curricularface")]
    found = score_folders(*folders, one, load, WHOLE, work, torch.device("cpu"), lines.append)
    entry = found["scores"]["id-curricularface@32/1"]
    assert (entry["n"], entry["n_left_out"]) == (10, 0)
    # Where nothing looks like a face, all fail, none is left out, and each counts as the worst cosine.
    assert (entry["n_failed"], entry["mean"] == -1) == ((0, False) if sees_faces else (10, True))
    assert set(found["networks"]["mtcnn"]) == {"pnet.npy", "rnet.npy", "onet.npy"}
    assert len(found["networks"]["curricularface-ir101"]["CurricularFace_Backbone.pth"]) == 64


def test_a_real_image_that_does_not_decode_stops_the_run(folders: tuple[Path, Path]) -> None:
    path = folders[0] / "sub" / "3.png"
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(ReinvertError, match="3.png' is truncated or damaged"):
        scored(folders, INCOMPLETE)


def test_images_that_a_formula_does_not_take_are_one_line(folders: tuple[Path, Path]) -> None:
    np.save(folders[0] / "sub" / "3.npy", np.full((32, 32, 3), np.nan, np.float32))
    (folders[0] / "sub" / "3.png").unlink()
    with pytest.raises(ReinvertError, match="l2@32/1 cannot measure these images: images must be finite"):
        scored(folders)
    for folder in folders:
        for path in (folder / "sub").iterdir():
            path.unlink()
        Image.fromarray(picture(0, 8)).save(folder / "sub" / "0.png")
    with pytest.raises(ReinvertError, match="ssim@8/1 cannot measure.*window of 11 pixels does not fit"):
        scored(folders, wanted=[protocols.get("ssim")])


def test_another_file_under_the_right_name_is_refused(tmp_path: Path) -> None:
    network = protocols.INCEPTION_PYTORCH_FID
    file, beginning = network.files[0]
    (tmp_path / network.name).mkdir()
    (tmp_path / network.name / file).write_bytes(b"something else")
    with pytest.raises(ReinvertError, match="sha256.*not 6726825d.*get pt_inception"):
        find(network, file, beginning, tmp_path)


def test_the_command(folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["score", *map(str, folders), "--protocol", "l2", "--protocol", "psnr", "--out", "out"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "l2@32/1" in done.stdout
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    with open(tmp_path / "out" / "scores.csv", newline="") as handle:
        rows = {row["protocol"]: row for row in csv.DictReader(handle)}
    assert float(rows["l2@32/1"]["value"]) == content["scores"]["l2@32/1"]["mean"]
    assert rows["l2@32/1"]["n_failed"] == "0"
    with open(tmp_path / "out" / "images.csv", newline="") as handle:
        assert len(list(csv.DictReader(handle))) == 10
    no_folder = CliRunner().invoke(app, [*arguments[:-1], "out/scores.csv"])
    assert (no_folder.exit_code, no_folder.stdout) == (1, "")
    assert no_folder.stderr == "error: 'out/scores.csv' is a file; name a folder with --out\n"
    (folders[1] / "sub" / "9.png").unlink()
    refused = CliRunner().invoke(app, arguments)
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[0] == "missing: sub/9.png"
    assert refused.stderr.splitlines()[-1].startswith("error: the folders do not fit: 1 missing")
    assert CliRunner().invoke(app, [*arguments, "--incomplete"]).exit_code == 0


def test_a_fid_of_few_images_is_warned_of() -> None:
    described = {"metric": "fid", "sample_size": None, "suite": "strict", "network": "x"}
    content: dict[str, Any] = {
        "scores": {"fid@64/1": {"value": 3.25, "n": 64, "n_failed": 0, "n_left_out": 0}},
        "protocols": {"fid@64/1": described}, "problems": {}, "pairs": 64,
    }  # fmt: skip
    assert "FID ↓ (n = 64)" in printed(content)
    assert "biased upwards" in printed(content)
    content["scores"]["fid@64/1"]["n"] = 2048
    assert "biased upwards" not in printed(content)


def test_pairs_say_which_files_they_are(folders: tuple[Path, Path]) -> None:
    before = pair_folders(*folders, PIXELS).fingerprint()
    assert before == pair_folders(*folders, PIXELS).fingerprint()
    Image.fromarray(picture(77)).save(folders[1] / "sub" / "2.png")
    after = pair_folders(*folders, PIXELS)
    assert isinstance(after, FolderPairs)
    assert before != after.fingerprint()
