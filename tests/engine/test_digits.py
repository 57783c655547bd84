"""Sets of digits: what is taken from an upload and what is refused, and whether a drawing becomes one of MNIST's."""

import base64
import gzip
import io
import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.contract import catalog
from engine.contract.kinds.mnist import MnistSpec
from engine.contract.run_folder import LabHome
from engine.digits import digits
from engine.digits.digits import centre, drawing, ink_of, keep_upload
from engine.errors import DigitsError
from engine.settings import Settings
from tests.assets_home import with_assets

ROOT = Path(__file__).parent.parent.parent
RANDOM = np.random.default_rng(0)
X_TRAIN = RANDOM.integers(0, 256, (1200, 28, 28), dtype=np.uint8)
Y_TRAIN = RANDOM.integers(0, 10, 1200, dtype=np.uint8)
X_TEST = RANDOM.integers(0, 256, (300, 28, 28), dtype=np.uint8)
Y_TEST = RANDOM.integers(0, 10, 300, dtype=np.uint8)
WHOLE = {"x_train": X_TRAIN, "y_train": Y_TRAIN, "x_test": X_TEST, "y_test": Y_TEST}


def npz(packed: bool = False, **parts: np.ndarray) -> io.BytesIO:
    file = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(file, **parts)
    return file


def idx(array: np.ndarray, kind: int = 8) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


def keep(folder: Path, *files: tuple[str, bytes | io.BytesIO]) -> dict[str, np.ndarray]:
    name = keep_upload([(name, io.BytesIO(c) if isinstance(c, bytes) else c) for name, c in files], folder)
    with np.load(folder / f"{name}.npz") as kept:
        return dict(kept)


def assert_same(kept: dict[str, np.ndarray], **expected: np.ndarray) -> None:
    assert list(kept) == list(WHOLE)
    for name, array in {**WHOLE, **expected}.items():
        assert kept[name].dtype == np.uint8
        np.testing.assert_array_equal(kept[name], array, name)


# --- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(WHOLE, id="as it is kept"),
        pytest.param(WHOLE | {"x_train": X_TRAIN[..., None], "x_test": X_TEST[..., None]}, id="with a channel"),
        pytest.param(WHOLE | {"x_train": X_TRAIN.reshape(-1, 784), "x_test": X_TEST.reshape(-1, 784)}, id="flat"),
        pytest.param(WHOLE | {"x_train": np.asfortranarray(X_TRAIN)}, id="in the order of Fortran"),
        pytest.param({name: part.astype(np.int64) for name, part in WHOLE.items()}, id="wide whole numbers"),
        pytest.param({name: part.astype(">f8") for name, part in WHOLE.items()}, id="decimals to 255, other order"),
        pytest.param(
            WHOLE | {name: (WHOLE[name] / 255).astype(np.float32) for name in ("x_train", "x_test")}, id="0 to 1"
        ),
        pytest.param(WHOLE | {"something": np.zeros(3)}, id="with more in it"),
    ],
)
@pytest.mark.parametrize("packed", [False, True], ids=["stored", "compressed"])
def test_an_npz_is_kept_as_bytes(tmp_path: Path, parts: dict[str, np.ndarray], packed: bool) -> None:
    assert_same(keep(tmp_path, ("My digits.npz", npz(packed, **parts))))
    assert [file.name for file in tmp_path.iterdir()] == ["my-digits.npz"]


def test_pictures_of_0_and_1_become_paper_and_ink(tmp_path: Path) -> None:
    parts = WHOLE | {"x_train": X_TRAIN > 127, "x_test": X_TEST > 127}
    kept = keep(tmp_path, ("binary.npz", npz(**{name: part.astype(np.uint8) for name, part in parts.items()})))
    assert_same(kept, x_train=(X_TRAIN > 127) * np.uint8(255), x_test=(X_TEST > 127) * np.uint8(255))


def test_without_a_test_part_the_last_seventh_is_held_out(tmp_path: Path) -> None:
    kept = keep(tmp_path, ("few.npz", npz(x_train=X_TRAIN, y_train=Y_TRAIN)))
    assert_same(kept, x_train=X_TRAIN[:1029], y_train=Y_TRAIN[:1029], x_test=X_TRAIN[1029:], y_test=Y_TRAIN[1029:])


def test_pictures_that_lie_class_after_class_are_mixed_first(tmp_path: Path) -> None:
    order = np.argsort(Y_TRAIN, kind="stable")
    kept = keep(tmp_path, ("sorted.npz", npz(x_train=X_TRAIN[order], y_train=Y_TRAIN[order])))
    assert set(kept["y_train"]) == set(kept["y_test"]) == set(range(10))
    label_of = {picture.tobytes(): label for picture, label in zip(X_TRAIN, Y_TRAIN, strict=True)}
    for x, y in (("x_train", "y_train"), ("x_test", "y_test")):
        assert [label_of[picture.tobytes()] for picture in kept[x]] == kept[y].tolist()


FOUR = {
    "train-images-idx3-ubyte": idx(X_TRAIN),
    "train-labels-idx1-ubyte": idx(Y_TRAIN),
    "t10k-images-idx3-ubyte": idx(X_TEST),
    "t10k-labels-idx1-ubyte": idx(Y_TEST),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("turn", range(4), ids=lambda turn: f"number {turn} first")
def test_four_idx_files_are_told_apart_by_their_content(tmp_path: Path, pack: Callable, turn: int) -> None:
    contents = list(map(pack, FOUR.values()))
    files = [(f"file{at}.bin", content) for at, content in enumerate(contents)]
    assert_same(keep(tmp_path, *files[turn:], *files[:turn]))


def test_two_idx_files_are_one_set_and_its_name_is_theirs(tmp_path: Path) -> None:
    files = [("kana-train-labels-idx1-ubyte.gz", gzip.compress(idx(Y_TRAIN))), ("x.idx", idx(X_TRAIN / 255, 0x0E))]
    kept = keep(tmp_path, *files)
    np.testing.assert_array_equal(kept["x_train"], X_TRAIN[:1029])
    assert [file.name for file in tmp_path.iterdir()] == ["kana.npz"]


def test_parts_of_equal_size_are_told_apart_by_their_names(tmp_path: Path) -> None:
    contents = {**FOUR, "t10k-images-idx3-ubyte": idx(X_TRAIN[::-1]), "t10k-labels-idx1-ubyte": idx(Y_TRAIN[::-1])}
    kept = keep(tmp_path, *sorted(contents.items()))
    assert_same(kept, x_test=X_TRAIN[::-1], y_test=Y_TRAIN[::-1])


def test_no_other_set_is_overwritten_and_no_built_in_one_is_hidden(tmp_path: Path) -> None:
    names = [keep_upload([("digits.npz", npz(**WHOLE))], tmp_path) for _ in range(3)]
    assert names == ["digits", "digits-2", "digits-3"]
    assert keep_upload([("MNIST.npz", npz(**WHOLE))], tmp_path) == "mnist-2"
    assert keep_upload([("../../../Ünïcode & more .npz", npz(**WHOLE))], tmp_path) == "n-code-more"
    assert keep_upload([("....npz", npz(**WHOLE))], tmp_path) == "digits-4"
    assert len(list(tmp_path.iterdir())) == 6


def test_progress_counts_the_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    keep_upload([("d.npz", npz(**WHOLE))], tmp_path, lambda done, total: seen.append((done, total)))
    expected = sum(part.nbytes for part in WHOLE.values())
    assert seen[-1] == (expected, expected)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


# --- what is refused -------------------------------------------------------------------------------------------------


def head_only(shape: str, descr: str = "|u1") -> bytes:
    """An .npy that announces a shape and has no numbers."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def zip_of(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def with_part(**parts: np.ndarray) -> bytes:
    return npz(**{**WHOLE, **parts}).getvalue()


def spoilt(at: float) -> bytes:
    data = bytearray(npz(**WHOLE).getvalue())
    data[int(at * len(data))] ^= 0xFF
    return bytes(data)


NAN = X_TRAIN.astype(np.float32) / 255
NAN[7, 3, 3] = np.nan
ODD_LABELS = Y_TRAIN.astype(np.float64) + 0.5
TEN = Y_TRAIN.copy()
TEN[5] = 10


@pytest.mark.parametrize(
    "content, words",
    [
        pytest.param(
            with_part(x_train=X_TRAIN[:, :, :27]), r"x_train .* is \(1,200, 28, 27\); pictures are", id="shape"
        ),
        pytest.param(with_part(x_train=X_TRAIN[0]), r"x_train .* is \(28, 28\); pictures are", id="one picture"),
        pytest.param(with_part(x_train=np.stack([X_TRAIN] * 3, 3)), r"is \(1,200, 28, 28, 3\)", id="colour"),
        pytest.param(with_part(x_train=Y_TRAIN), r"x_train .* is \(1,200,\); pictures are", id="labels for pictures"),
        pytest.param(with_part(y_train=np.eye(28)[Y_TRAIN]), r"y_train .* is \(1,200, 28\)", id="one-hot labels"),
        pytest.param(with_part(y_train=X_TRAIN), r"y_train .* is \(1,200, 28, 28\); labels are", id="no labels"),
        pytest.param(with_part(x_train=X_TRAIN.astype(complex)), "holds complex128 values", id="complex"),
        pytest.param(with_part(y_train=Y_TRAIN.astype(str)), "y_train .* holds <U3 values", id="text"),
        pytest.param(with_part(x_train=X_TRAIN.astype(object)), "holds object values", id="objects"),
        pytest.param(with_part(x_train=NAN), r"values that are no numbers \(NaN or infinite\)", id="NaN"),
        pytest.param(with_part(x_train=X_TRAIN / 127.5 - 1), "values from -1 to 1; 0 .* to 255", id="-1 to 1"),
        pytest.param(with_part(x_train=X_TRAIN * np.uint16(257)), "values from 0 to 65535", id="16 bits"),
        pytest.param(
            with_part(x_test=X_TEST / 255), "x_test .* 0 to 1; .* training and test pictures alike", id="mixed"
        ),
        pytest.param(with_part(x_train=X_TRAIN * 0), "values from 0 to 0", id="all black"),
        pytest.param(with_part(y_train=TEN), "holds the label 10; labels are 0 to 9", id="label 10"),
        pytest.param(with_part(y_train=TEN.astype(np.int8) - 1), "holds the label -1", id="label -1"),
        pytest.param(with_part(y_train=ODD_LABELS), r"holds the label \d\.5", id="label 2.5"),
        pytest.param(with_part(y_test=Y_TEST[:-1]), "holds 300 pictures and y_test .* 299 labels", id="lengths differ"),
        pytest.param(with_part(y_train=Y_TRAIN * 0 + 3), "labelled 3; a network needs at least 2", id="one class"),
        pytest.param(
            with_part(x_train=X_TEST, y_train=Y_TEST), "There are 300 training pictures; at least 1,000", id="few"
        ),
        pytest.param(
            npz(x_train=X_TRAIN[:1100], y_train=Y_TRAIN[:1100]).getvalue(),
            "943 training pictures after the last seventh was held out",
            id="few with a seventh held out",
        ),
        pytest.param(with_part(x_train=X_TRAIN[:0], y_train=Y_TRAIN[:0]), "holds no picture", id="empty"),
        pytest.param(
            npz(images=X_TRAIN).getvalue(), "no x_train and no y_train; it holds images.npy", id="other names"
        ),
        pytest.param(npz(**{**WHOLE, "y_test": Y_TEST}).getvalue()[:5000], "damaged or cut short", id="cut short"),
        pytest.param(
            npz(x_train=X_TRAIN, y_train=Y_TRAIN, x_test=X_TEST).getvalue(), "no y_test", id="half a test part"
        ),
        pytest.param(spoilt(0.3), "x_train .* is damaged or cut short", id="one byte differs"),
        pytest.param(zip_of(), "it holds nothing", id="an empty zip"),
        pytest.param(
            zip_of(x_train=head_only("(1000001, 28, 28)"), y_train=b""),
            "announces 1,000,001 entries, 784 MB",
            id="many",
        ),
        pytest.param(
            zip_of(x_train=head_only("(900000, 28, 28)", "<f8")), "announces 900,000 entries, 5,645 MB", id="large"
        ),
        pytest.param(
            zip_of(x_train=head_only("(10**9, 28, 28)")), "no array that numpy can read", id="a bomb in words"
        ),
        pytest.param(
            zip_of(x_train=head_only("(5000, 28, 28)"), y_train=head_only("(5000,)") + bytes(5000)),
            "cut short: 0 of 3,920,000 bytes",
            id="fewer numbers than announced",
        ),
        pytest.param(
            zip_of(x_train=head_only("(5000, 28, 28)") + bytes(10**8), y_train=head_only("(5000,)") + bytes(5000)),
            "longer than its head says",
            id="a zip bomb",
        ),
        pytest.param(zip_of(x_train=b"\x93NUMPY\x03\x00" + bytes(100)), "version 3.0 of the format", id="newer format"),
        pytest.param(zip_of(x_train=b"hello"), "no array that numpy can read", id="text in a zip"),
        pytest.param(b"\x93NUMPY\x01\x00", "by its first bytes it is a single .npy array", id="npy"),
        pytest.param(b"", "it is neither .npz nor IDX", id="nothing in it"),
        pytest.param(b"\x89PNG\r\n\x1a\n", "it is neither .npz nor IDX", id="a picture"),
    ],
)
def test_one_file_is_refused_in_a_sentence_and_nothing_is_kept(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(DigitsError, match=words):
        keep(tmp_path, ("digits.npz", content))
    assert list(tmp_path.iterdir()) == []


def packed_bomb() -> bytes:
    return gzip.compress(idx(X_TRAIN) + bytes(10**8))


@pytest.mark.parametrize(
    "files, words",
    [
        pytest.param([], "No file came", id="none"),
        pytest.param([idx(X_TRAIN)], "1 IDX file came", id="pictures alone"),
        pytest.param([idx(X_TRAIN)] * 3, "3 IDX files came", id="three"),
        pytest.param([idx(X_TRAIN)] * 2, "2 files of pictures and 0 of labels", id="pictures twice"),
        pytest.param([idx(Y_TRAIN)] * 4, "0 files of pictures and 4 of labels", id="labels four times"),
        pytest.param([idx(X_TRAIN), idx(Y_TEST)], "1,200 pictures and file1 300 labels", id="lengths differ"),
        pytest.param([npz(**WHOLE).getvalue(), idx(Y_TEST)], "file0 and file1 came together", id="npz with another"),
        pytest.param([idx(X_TRAIN)[:-1], idx(Y_TRAIN)], "cut short: 940,799 of 940,800 bytes", id="a byte is missing"),
        pytest.param([idx(X_TRAIN) + b"x", idx(Y_TRAIN)], "longer than its head says", id="a byte too many"),
        pytest.param([gzip.compress(idx(X_TRAIN))[:-9], idx(Y_TRAIN)], "damaged or cut short", id="gzip cut short"),
        pytest.param([packed_bomb(), idx(Y_TRAIN)], "longer than its head says", id="a gzip bomb"),
        pytest.param(
            [gzip.compress(b"hello"), idx(Y_TRAIN)], "begins with 68 65 6c 6c, which is no IDX", id="other gzip"
        ),
        pytest.param([b"\0\0\x08\x03\0\0", idx(Y_TRAIN)], "ends before its sizes do", id="a head cut short"),
        pytest.param([b"\0\0\x07\x03" + bytes(12), idx(Y_TRAIN)], "begins with 00 00 07 03", id="unknown numbers"),
        pytest.param(
            [b"\0\0\x08\x03" + b"\xff\xff\xff\xff" + idx(X_TRAIN)[8:], idx(Y_TRAIN)],
            "announces 4,294,967,295 entries",
            id="four billion pictures",
        ),
    ],
)
def test_idx_files_are_refused_in_a_sentence(tmp_path: Path, files: list[bytes], words: str) -> None:
    with pytest.raises(DigitsError, match=words):
        keep(tmp_path, *[(f"file{at}", content) for at, content in enumerate(files)])
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_a_sentence_and_nothing_is_kept(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from engine.digits.digits import keep_upload\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, {resource.RLIM_INFINITY}))\n"
        "keep_upload([('d.npz', open(sys.argv[1], 'rb'))], sys.argv[2])"
    )
    (tmp_path / "given.npz").write_bytes(npz(**WHOLE).getvalue())
    command = [sys.executable, "-c", code, tmp_path / "given.npz", tmp_path / "sets"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "DigitsError: The digits could not be kept" in ended.stderr
    assert "File too large. Nothing of them was kept" in ended.stderr
    assert list((tmp_path / "sets").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DigitsError, match=r"could not be kept in .*Not a directory"):
        keep(tmp_path / "file" / "sets", ("d.npz", npz(**WHOLE)))


# --- which sets there are --------------------------------------------------------------------------------------------


def test_sources_are_the_built_in_sets_and_then_the_uploaded_ones(tmp_path: Path) -> None:
    home = LabHome(str(tmp_path))
    settings = Settings(home, (), sys.executable)
    assert [(row.key, row.path) for row in digits.sources(settings)] == [("mnist", None), ("fashion_mnist", None)]
    folder = Path(home.datasets)
    name = keep_upload([("old-kana.npz", npz(**WHOLE))], folder)
    (folder / "lamps").mkdir()  # photos
    for other in (".part-1.npz", "two words.npz", "mnist.npz", "notes.txt"):
        (folder / other).write_bytes(b"")
    found = digits.sources(settings)
    assert [row.key for row in found] == ["mnist", "fashion_mnist", "old-kana"]
    assert (found[2].title, found[2].path, found[2].labels) == ("Old kana", folder / "old-kana.npz", catalog.DIGITS)
    assert found[1].labels[9] == "Ankle boot"
    assert found[1].attribution == "Fashion-MNIST, © 2017 Zalando SE, MIT licence"
    assert catalog.digit_set(name).file == "../datasets/old-kana.npz"
    assert MnistSpec(data=name).faults() == []


def test_one_picture_is_taken_from_the_test_part(tmp_path: Path) -> None:
    path = tmp_path / f"{keep_upload([('d.npz', npz(**WHOLE))], tmp_path)}.npz"
    assert digits.how_many(path) == 300
    picture, label = digits.test_picture(path, 123)
    np.testing.assert_array_equal(picture, X_TEST[123])
    assert label == Y_TEST[123]
    with pytest.raises(DigitsError, match=r"Picture 300 was asked for; the test part of d\.npz holds 300"):
        digits.test_picture(path, 300)


@pytest.mark.parametrize(
    "content", [None, b"", b"PK\x03\x04", zip_of(x_train=b"")], ids=["gone", "empty", "cut", "other"]
)
def test_a_set_that_cannot_be_read_is_a_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "d.npz").write_bytes(content)
    with pytest.raises(DigitsError, match=r"The digits in d\.npz cannot be read"):
        digits.how_many(tmp_path / "d.npz")


# --- drawings --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist() -> np.ndarray:
    """Test pictures of MNIST, (10000, 28, 28) uint8."""
    home = with_assets("mnist")
    with np.load(Path(home.assets, "mnist", "mnist.npz")) as parts:
        return parts["x_test"]


def drawn(digit: np.ndarray, factor: int, top: int, left: int, side: int) -> np.ndarray:
    """The digit enlarged, somewhere on a sheet of paper."""
    sheet = np.zeros((side, side), np.uint8)
    large = np.kron(digit, np.ones((factor, factor), np.uint8))
    sheet[top : top + len(large), left : left + len(large)] = large
    return sheet


def test_a_digit_of_mnist_drawn_large_and_anywhere_becomes_itself_again(mnist: np.ndarray) -> None:
    random = np.random.default_rng(0)
    for digit in mnist[:200]:
        assert max(np.ptp(np.nonzero(digit), axis=1)) == 19  # its longer side is 20, as LeCun says
        top, left = random.integers(0, 221, 2)
        np.testing.assert_array_equal(centre(drawn(digit, 10, top, left, 500)).pixels, digit)


def differences(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over all pixels, in gray levels."""
    return np.abs(one.astype(int) - other).mean()


def test_smooth_enlarging_changes_little(mnist: np.ndarray) -> None:
    large = [Image.fromarray(digit).resize((300, 300), Image.Resampling.BICUBIC) for digit in mnist[:100]]
    again = np.stack([centre(np.asarray(each)).pixels for each in large])
    assert differences(again, mnist[:100]) < 0.3 * differences(mnist[:100], mnist[100:200])
    assert differences(again, mnist[:100]) < 0.5 * differences(np.roll(mnist[:100], 1, axis=2), mnist[:100])


def test_the_centre_of_mass_is_moved_to_the_middle(mnist: np.ndarray) -> None:
    for digit in mnist[:100, ::-1, ::-1]:  # turned, so that none is centred as it comes
        found = centre(drawn(digit, 5, 3, 40, 200))
        for axis in (0, 1):
            mass = found.pixels.sum(axis=1 - axis) @ np.arange(28) / found.pixels.sum()
            assert abs(mass - 14) <= 0.5


def test_the_centre_of_mass_before_the_shift_is_told() -> None:
    ink = np.zeros((100, 100), np.uint8)
    ink[10:90, 10:20] = 255  # the upright of an L, 80 x 10
    ink[80:90, 10:50] = 255  # its foot, 10 x 40
    found = centre(ink)
    # It becomes 20 rows and 10 columns, rows 4 to 23 and columns 9 to 18 were it put into the middle. Areas 80 x 10 and
    # 10 x 30; one pixel of the small picture is 4 x 4.
    row = (800 * 40 + 300 * 75) / 1100 / 4 - 0.5 + 4
    column = (800 * 5 + 300 * 25) / 1100 / 4 - 0.5 + 9
    assert (found.row, found.column) == (pytest.approx(row, abs=0.05), pytest.approx(column, abs=0.05))
    rows, columns = np.nonzero(found.pixels)
    assert (np.ptp(rows), np.ptp(columns)) == (19, 9)
    assert columns.min() == 9 + round(14 - column)


@pytest.mark.parametrize(
    "ink, words",
    [
        pytest.param(np.zeros((280, 280), np.uint8), "The drawing is blank", id="blank"),
        pytest.param(np.zeros((0, 0), np.uint8), "The drawing is blank", id="no paper"),
        pytest.param(np.eye(2000, dtype=np.uint8) * 3, "too faint", id="a gray hair"),
        pytest.param(np.ones((2001, 5), np.uint8), r"is \(2,001, 5\) uint8", id="too large"),
        pytest.param(np.ones((5, 5, 3), np.uint8), r"is \(5, 5, 3\) uint8", id="colour"),
        pytest.param(np.ones((5, 5)), r"is \(5, 5\) float64", id="decimals"),
    ],
)
def test_a_drawing_that_is_none_is_a_sentence(ink: np.ndarray, words: str) -> None:
    with pytest.raises(DigitsError, match=words):
        centre(ink)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1), (2000, 2000), (3, 1999)])
def test_dots_lines_and_full_sheets_are_centred(shape: tuple[int, int]) -> None:
    found = centre(np.full(shape, 255, np.uint8))
    rows, columns = np.nonzero(found.pixels)
    assert max(np.ptp(rows), np.ptp(columns)) == 19
    assert (abs(rows.mean() - 14) <= 0.5, abs(columns.mean() - 14) <= 0.5) == (True, True)


def url(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_what_a_field_sends_is_ink(mode: str) -> None:
    sheet = Image.new("L", (30, 20), 255)
    sheet.paste(0, (5, 5, 10, 15))
    ink = drawing(url(encoded(sheet.convert(mode))))
    assert (ink.shape, ink.dtype, ink[10, 7], ink[0, 0]) == ((20, 30), np.uint8, 255, 0)


@pytest.mark.parametrize(
    "sent, words",
    [
        pytest.param("", "no drawing", id="nothing"),
        pytest.param("data:image/png;base64,%%%", "no drawing", id="not base64"),
        pytest.param("data:image/png;base64,ä", "no drawing", id="not even ASCII"),
        pytest.param(url(b"hello"), "no drawing: the content is no JPEG", id="no picture"),
        pytest.param(url(encoded(Image.new("L", (9, 9))))[:-32], "no drawing: it is damaged", id="cut short"),
        pytest.param(url(encoded(Image.new("L", (9, 9)), "JPEG")), "is a JPEG of 9 x 9 pixels", id="a JPEG"),
        pytest.param(url(encoded(Image.new("1", (9, 2001)))), "of 9 x 2,001 pixels", id="too high"),
        pytest.param(url(bytes(1_600_000)), "no drawing: a PNG of at most 2 MB", id="too long"),
        pytest.param(url(b"", "image/svg+xml"), "no drawing", id="SVG"),
    ],
)
def test_what_else_comes_from_a_browser_is_a_sentence(sent: str, words: str) -> None:
    with pytest.raises(DigitsError, match=words):
        drawing(sent)


# --- photos of digits ------------------------------------------------------------------------------------------------


def photo(digit: np.ndarray, dark_paper: bool = False, size: int = 400, orientation: int = 1) -> bytes:
    """A JPEG of the digit on a sheet in uneven light, with grain."""
    random = np.random.default_rng(1)
    across, down = np.meshgrid(np.linspace(0, 1, 800), np.linspace(0, 1, 800))
    paper = 20 + 40 * down if dark_paper else 120 + 60 * across + 40 * down
    ink = np.zeros((800, 800))
    ink[300 - size // 2 : 300 - size // 2 + size, 350 : 350 + size] = (
        np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC)) / 255
    )
    seen = paper * (1 - ink) + (210 if dark_paper else 30) * ink + random.normal(0, 6, ink.shape)
    picture = Image.fromarray(np.clip(seen, 0, 255).astype(np.uint8)).convert("RGB").filter(ImageFilter.GaussianBlur(1))
    if orientation == 6:  # the camera was held upright: what it stores lies on its side
        picture = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize(
    "look",
    [
        pytest.param({}, id="pen on paper"),
        pytest.param({"dark_paper": True}, id="chalk on a board"),
        pytest.param({"size": 110}, id="small"),
        pytest.param({"size": 450}, id="large"),
        pytest.param({"orientation": 6}, id="turned by its EXIF"),
    ],
)
def test_a_photo_of_a_digit_becomes_nearly_that_digit(mnist: np.ndarray, look: dict) -> None:
    again = np.stack([centre(ink_of(photo(digit, **look))).pixels for digit in mnist[:15]])
    assert differences(again, mnist[:15]) < 0.3 * differences(mnist[:15], mnist[15:30])


def test_ink_on_nothing_is_ink_on_paper() -> None:
    transparent = Image.new("RGBA", (100, 100))
    transparent.paste("black", (40, 10, 60, 90))
    ink = ink_of(encoded(transparent))
    assert (ink.dtype, ink[50, 50], ink[50, 10]) == (np.uint8, 255, 0)


@pytest.mark.parametrize(
    "image, words",
    [
        pytest.param(b"", "cannot be read: the file is empty", id="empty"),
        pytest.param(b"hello", "the content is no JPEG, PNG", id="text"),
        pytest.param(encoded(Image.new("L", (300, 200), 255))[:60], "is damaged", id="cut short"),
        pytest.param(encoded(Image.new("1", (12_000, 12_000))), "more than the", id="144 million pixels"),
        pytest.param(encoded(Image.new("RGB", (300, 200), "white")), "ink and paper hardly differ", id="white"),
        pytest.param(encoded(Image.new("L", (1, 1))), "ink and paper hardly differ", id="one pixel"),
        pytest.param(
            encoded(Image.linear_gradient("L").point(lambda level: 150 + level // 4)),
            "ink and paper hardly differ",
            id="a gradient",
        ),
    ],
)
def test_a_picture_without_a_digit_is_a_sentence(image: bytes, words: str) -> None:
    with pytest.raises(DigitsError, match=words):
        ink_of(image)
