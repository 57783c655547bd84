"""Folders and zips of photos, drawn here; real ones only where LAB_TEST_DATA says where they are."""

import io
import os
import stat
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine import photos
from engine.contract.dataset import SPLITS
from engine.errors import PhotosError
from tests.fakes.lights import COLOURS, draw, draw_lights


@pytest.fixture
def lights(tmp_path: Path) -> Path:
    return draw_lights(tmp_path / "lights")


def whys(scan: photos.Scan) -> dict[str, str]:
    return dict(scan.unreadable)


# --- scan ------------------------------------------------------------------------------------------------------------


def test_a_good_folder_is_read_without_a_complaint(lights: Path) -> None:
    seen = []
    scan = photos.scan(lights, "Lights", lambda done, total: seen.append((done, total)))
    assert [(row.folder, row.label, len(row.files)) for row in scan.classes] == [
        ("green", "green", 10),
        ("red", "red", 10),
        ("yellow", "yellow", 10),
    ]
    assert scan.photos == 30
    assert seen[-1] == (30, 30)
    assert photos.faults(scan) == []
    assert photos.remarks(scan, photos.split(scan, 10, 10)) == []


def test_what_a_file_is_its_content_says(lights: Path) -> None:
    for index, kind in enumerate(["JPEG", "PNG", "WEBP", "BMP", "GIF"]):
        draw(lights / "red" / f"as-{kind}.txt", COLOURS["red"], 50 + index, format=kind)
    scan = photos.scan(lights, "Lights")
    assert len(scan.classes[1].files) == 15
    assert scan.unreadable == ()


def test_files_that_are_no_photos_are_passed_over_and_broken_photos_are_named(lights: Path) -> None:
    red = lights / "red"
    whole = draw(red / "whole.jpg", COLOURS["red"], 99, (400, 400)).read_bytes()
    (red / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (red / "empty.jpg").write_bytes(b"")
    (red / "text.jpg").write_text("this is a text")
    (red / "LICENSE.txt").write_text("CC BY 2.0")
    (red / ".hidden.jpg").write_text("hidden")
    (red / "Thumbs.db").write_text("junk")
    (red / "scan.tif").write_bytes(b"II*\0 whatever")
    (red / "older").mkdir()
    (red / "gone.jpg").symlink_to(red / "nowhere.jpg")
    (lights / "README.md").write_text("about")
    scan = photos.scan(lights, "Lights")
    assert set(whys(scan)) == {
        "red/truncated.jpg",
        "red/empty.jpg",
        "red/text.jpg",
        "red/scan.tif",
        "red/older",
        "red/gone.jpg",
    }
    assert "empty" in whys(scan)["red/empty.jpg"]
    assert "damaged" in whys(scan)["red/truncated.jpg"]
    assert photos.FORMATS_TEXT in whys(scan)["red/text.jpg"]
    (remark,) = photos.remarks(scan, None)
    assert remark.startswith("6 files cannot be used and will be left out: ")
    assert remark.endswith("; and 1 more.")
    assert photos.faults(scan) == []


def test_a_png_of_13000_by_13000_pixels_is_refused_by_name_before_it_is_decoded(lights: Path) -> None:
    bomb = lights / "red" / "bomb.png"
    Image.new("1", (13000, 13000)).save(bomb)
    assert bomb.stat().st_size < 40_000
    scan = photos.scan(lights, "Lights")
    assert list(whys(scan)) == ["red/bomb.png"]
    assert "million" in whys(scan)["red/bomb.png"]


def test_sixteen_bit_cmyk_palette_and_animated_pictures_are_photos_too(lights: Path) -> None:
    red = lights / "red"
    Image.fromarray(np.arange(10000, dtype=np.uint16).reshape(100, 100)).save(red / "sixteen.png")
    Image.new("CMYK", (40, 40), (10, 200, 10, 0)).save(red / "cmyk.jpg")
    Image.new("P", (40, 40)).save(red / "palette.png", transparency=0)
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    frames[0].save(red / "animated.gif", save_all=True, append_images=frames[1:])
    scan = photos.scan(lights, "Lights")
    assert scan.unreadable == ()
    assert len(scan.classes[1].files) == 14
    for name in ("sixteen.png", "cmyk.jpg", "palette.png", "animated.gif"):
        assert photos.thumbnail(red / name, 32)[:2] == b"\xff\xd8"


def test_a_link_out_of_the_folder_is_not_followed(lights: Path, tmp_path: Path) -> None:
    outside = draw(tmp_path / "private" / "secret.jpg", COLOURS["red"], 1)
    (lights / "red" / "link.jpg").symlink_to(outside)
    (lights / "private").symlink_to(tmp_path / "private")
    (lights / "red" / "again.jpg").symlink_to(lights / "green" / "green-0.jpg")
    scan = photos.scan(lights, "Lights")
    assert set(whys(scan)) == {"red/link.jpg", "private"}
    assert "again.jpg" in scan.classes[1].files
    wider = photos.scan(lights, "Lights", roots=(tmp_path,))
    assert wider.unreadable == ()
    assert [row.folder for row in wider.classes] == ["green", "private", "red", "yellow"]


def test_a_link_to_itself_is_listed_and_stops_nothing(lights: Path) -> None:
    (lights / "red" / "loop.jpg").symlink_to(lights / "red" / "loop.jpg")
    (lights / "loop").symlink_to(lights / "loop")
    scan = photos.scan(lights, "Lights")
    assert [file for file, _ in scan.unreadable] == ["red/loop.jpg"]
    assert scan.photos == 30


def test_a_dataset_names_its_folder_in_full_however_it_was_typed(lights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lights.parent)
    scan = photos.scan(Path("lights"), "Lights", typed="lights")
    assert photos.split(scan, 10, 10).root == str(lights)
    assert scan.typed == "lights"


def test_copies_in_two_classes_and_in_two_splits_are_named(lights: Path) -> None:
    (lights / "green" / "wrong.jpg").write_bytes((lights / "red" / "red-0.jpg").read_bytes())
    # Copies of one photo within the class, until one lands in another split.
    for index in range(20):
        (lights / "red" / f"copy-{index}.jpg").write_bytes((lights / "red" / "red-1.jpg").read_bytes())
    scan = photos.scan(lights, "Lights")
    dataset = photos.split(scan, 30, 30)
    split_of = {photo.file: photo.split for photo in dataset.photos}
    assert len({split_of[f"red/copy-{index}.jpg"] for index in range(20)}) > 1
    assert [row.kind for row in scan.duplicates] == ["classes", "class"]
    assert scan.duplicates[0].files == ("green/wrong.jpg", "red/red-0.jpg")
    said = photos.remarks(scan, dataset)
    assert said[0].startswith("1 photo with the same content in two classes: green/wrong.jpg = red/red-0.jpg.")
    assert "in two splits" in said[1]
    assert len(photos.remarks(scan, None)) == 1


def test_a_folder_that_disappears_is_a_sentence(lights: Path) -> None:
    with pytest.raises(PhotosError, match="not there any more"):
        photos.scan(lights / "gone", "Gone")
    with pytest.raises(PhotosError, match="is a file"):
        photos.scan(lights / "red" / "red-0.jpg", "A file")


def test_a_name_that_is_not_utf8_is_listed_and_can_be_printed(lights: Path) -> None:
    os.rename(lights / "red" / "red-0.jpg", os.fsencode(lights / "red") + b"/caf\xe9.jpg")
    scan = photos.scan(lights, "Lights")
    assert list(whys(scan)) == ["red/caf?.jpg"]


# --- faults ----------------------------------------------------------------------------------------------------------


def fault_of(root: Path) -> str:
    return " ".join(photos.faults(photos.scan(root, "Mine")))


def test_an_empty_folder_stops_a_start(tmp_path: Path) -> None:
    assert fault_of(tmp_path) == (
        "Mine is empty. It should hold one folder per class, with JPEG, PNG, WEBP, BMP or GIF photos in each."
    )


def test_photos_without_class_folders_stop_a_start(tmp_path: Path) -> None:
    draw(tmp_path / "a.jpg", COLOURS["red"], 1)
    assert "holds 1 photo directly and no folders. Make one folder per class" in fault_of(tmp_path)


def test_one_class_only_stops_a_start(tmp_path: Path) -> None:
    assert "one class only, red. A classifier needs at least 2" in fault_of(draw_lights(tmp_path, 25, ("red",)))


def test_a_class_without_photos_stops_a_start(lights: Path) -> None:
    (lights / "blue").mkdir()
    assert fault_of(lights).startswith("The folder blue holds no readable photo.")


@pytest.mark.parametrize("number", [1, 2])
def test_a_class_with_too_few_photos_for_three_splits_stops_a_start(lights: Path, number: int) -> None:
    for index in range(number):
        draw(lights / "blue" / f"{index}.jpg", (0, 0, 255), 3000 + index)
    assert f"The class blue has {number} photo" in fault_of(lights)
    assert "at least 3" in fault_of(lights)


def test_variants_of_one_photo_are_no_second_photo(lights: Path) -> None:
    for index in range(5):
        draw(lights / "blue" / f"leaf7_nohash_{index}.jpg", (0, 0, 255), 3000 + index)
    assert "The class blue has 1 photo (those named alike before _nohash_ count as one)" in fault_of(lights)


def test_fewer_than_twenty_photos_stop_a_start(tmp_path: Path) -> None:
    assert "Mine has 18 readable photos; at least 20 are needed" in fault_of(draw_lights(tmp_path / "a", 6))
    assert fault_of(draw_lights(tmp_path / "b", 10, ("red", "green"))) == ""


def test_two_folders_with_one_label_stop_a_start(lights: Path) -> None:
    for index in range(5):
        draw(lights / "RED" / f"{index}.jpg", (0, 0, 255), 3000 + index)
    assert "The folders RED and red all become the label 'red'." in fault_of(lights)


def test_a_folder_that_leaves_no_label_stops_a_start(lights: Path) -> None:
    for index in range(5):
        draw(lights / "郁金香" / f"{index}.jpg", (0, 0, 255), 3000 + index)
    assert "leaves an empty label" in fault_of(lights)


# --- labels and splits of retrain.py ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "label"),
    [("daisy", "daisy"), ("Traffic_Lights--RED", "traffic lights red"), ("3rd.Class", "3rd class"), ("_x", " x")],
)
def test_labels_are_retrain_pys(folder: str, label: str) -> None:
    assert photos.label(folder) == label


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("tf_files/flower_photos/daisy/21652746_cc379e0eea_m.jpg", 51.669209090390865),
        ("/data/flower_photos/daisy/21652746_cc379e0eea_m.jpg", 80.31621039149321),
        ("daisy/21652746_cc379e0eea_m.jpg", 86.64239933075308),
        ("21652746_cc379e0eea_m.jpg", 87.2377700152827),
        ("tf_files/flower_photos/daisy/3475870145_685a19116d.jpg", 81.87405155505277),
        ("leaf7", 88.0121274889419),
        ("leaf7_nohash_0.jpg", 88.0121274889419),
        ("leaf7_nohash_1.jpg", 88.0121274889419),
    ],
)
def test_the_stable_split_is_retrain_pys(key: str, expected: float) -> None:
    assert photos.percentage(key) == expected


def scan_of(names: list[str], typed: str = "") -> photos.Scan:
    """A scan of files that are nowhere, for the split looks at names alone."""
    folders = sorted({name.split("/")[0] for name in names})
    classes = [
        photos.ClassFolder(
            folder, photos.label(folder), tuple(n.split("/")[1] for n in names if n.startswith(folder + "/"))
        )
        for folder in folders
    ]
    return photos.Scan("Set", Path("/nowhere"), typed, tuple(classes), (), (), 0)


def test_the_split_of_flower_photos_is_retrain_pys(test_data: Path) -> None:
    names = (test_data / "flower_names.txt").read_text().split()
    for typed in ("tf_files/flower_photos", "tf_files/flower_photos/"):
        dataset = photos.split(scan_of(names, typed), 10, 10, photos.TYPED_PATH)
        assert [Counter(photo.split for photo in dataset.photos)[name] for name in SPLITS] == [2949, 359, 362]
    by_name = photos.split(scan_of(names), 10, 10)
    assert [Counter(photo.split for photo in by_name.photos)[name] for name in SPLITS] == [2929, 368, 373]
    assert by_name.labels == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]


def test_the_real_photos_under_lab_test_data_can_all_be_read(test_data: Path) -> None:
    scan = photos.scan(test_data / "flower_photos", "Flowers")
    assert scan.photos == 600
    assert scan.unreadable == ()
    assert photos.faults(scan) == []


@pytest.mark.parametrize("number", [3, 4, 5, 10, 20])
def test_no_split_of_a_class_is_left_empty(number: int) -> None:
    for attempt in range(40):
        scan = scan_of([f"a{attempt}/{index}.jpg" for index in range(number)])
        (counts,) = photos.counts(photos.split(scan, 10, 10))
        assert min(counts.values()) >= 1
        assert sum(counts.values()) == number


def test_only_the_photo_nearest_to_the_border_moves() -> None:
    moved = 0
    for attempt in range(40):
        names = [f"a{attempt}/{index}.jpg" for index in range(10)]
        place = {name: photos.percentage(name) for name in names}
        pure = {name: "validation" if p < 10 else "testing" if p < 20 else "training" for name, p in place.items()}
        given = {photo.file: photo.split for photo in photos.split(scan_of(names), 10, 10).photos}
        missing = {"validation", "testing", "training"} - set(pure.values())
        differing = [name for name in names if pure[name] != given[name]]
        if not missing:
            assert differing == []
        if missing == {"validation"} and list(pure.values()).count("testing") > 1:
            assert differing == [min((name for name in names if pure[name] == "testing"), key=place.__getitem__)]
            moved += 1
        if missing == {"testing"} and list(pure.values()).count("validation") == 1:
            assert differing == [min((name for name in names if pure[name] == "training"), key=place.__getitem__)]
            moved += 1
    assert moved > 5


def test_variants_of_one_photo_share_a_split() -> None:
    names = [f"leaf/{leaf}_nohash_{variant}.jpg" for leaf in range(6) for variant in range(4)]
    dataset = photos.split(scan_of(names), 10, 10)
    for leaf in range(6):
        assert len({photo.split for photo in dataset.photos if photo.file.startswith(f"leaf/{leaf}_")}) == 1


def test_a_moved_folder_keeps_its_split_and_a_renamed_photo_may_not(tmp_path: Path) -> None:
    here, there = draw_lights(tmp_path / "here", 12), draw_lights(tmp_path / "far" / "there", 12)
    by_name = [photos.split(photos.scan(root, "X", typed=str(root)), 10, 10).photos for root in (here, there)]
    by_path = [photos.split(photos.scan(r, "X", typed=str(r)), 10, 10, photos.TYPED_PATH).photos for r in (here, there)]
    assert by_name[0] == by_name[1]
    assert by_path[0] != by_path[1]


# --- where photos may come from --------------------------------------------------------------------------------------


def test_folders_under_a_root_are_allowed_by_any_path_that_leads_there(lights: Path, tmp_path: Path) -> None:
    roots = (tmp_path.resolve(),)
    assert photos.allowed(str(lights), roots) == lights
    assert photos.allowed(f" {lights}/../lights/ ", roots) == lights
    assert photos.allowed("lights", roots) == lights


@pytest.mark.parametrize("path", ["/etc", "/", "../..", "/nowhere/at/all", "~root", "x/../../.."])
def test_folders_outside_the_roots_are_refused_and_nothing_is_told_of_them(path: str, tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="outside the folders that photos may come from"):
        photos.allowed(path, (tmp_path / "data",))


def test_a_link_that_leads_out_of_the_roots_is_refused(lights: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(lights)
    (root / "loop").symlink_to(root / "loop")
    for name in ("link", "loop"):
        with pytest.raises(PhotosError, match="outside"):
            photos.allowed(str(root / name), (root,))


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("", "No folder is named"),
        ("\0", "No folder is named"),
        ("{root}/missing", "There is no folder"),
        ("{root}/a.txt", "is a file"),
        ("{root}/" + "n" * 300, "There is no folder"),
    ],
)
def test_paths_that_lead_nowhere_are_sentences(path: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(PhotosError, match=sentence):
        photos.allowed(path.format(root=tmp_path), (tmp_path,))


# --- zips ------------------------------------------------------------------------------------------------------------


def zip_of(members: dict[str, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    file.seek(0)
    return file


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


PAIR = {"red/a.jpg": b"a", "green/b.jpg": b"b"}


def test_a_zip_is_unpacked_with_its_one_enclosing_folder_and_junk_left_out(tmp_path: Path) -> None:
    members = {f"My Photos/{name}": content for name, content in PAIR.items()}
    junk = {"__MACOSX/My Photos/red/._a.jpg": b"x", "My Photos/.DS_Store": b"x", "My Photos/red/Thumbs.db": b"x"}
    seen = []
    made = photos.unpack(
        zip_of(members | junk), tmp_path, "My Photos (1).ZIP", lambda done, of: seen.append((done, of))
    )
    assert made == tmp_path / "my-photos-1"
    assert files_below(made) == ["green/b.jpg", "red/a.jpg"]
    assert seen[-1] == (2, 2)
    assert files_below(tmp_path) == ["my-photos-1/green/b.jpg", "my-photos-1/red/a.jpg"]


def test_a_zip_of_one_class_keeps_its_folder(tmp_path: Path) -> None:
    assert files_below(photos.unpack(zip_of({"red/a.jpg": b"a"}), tmp_path, "x")) == ["red/a.jpg"]


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [photos.unpack(zip_of(PAIR), tmp_path, "lights.zip").name for _ in range(3)]
    assert names == ["lights", "lights-2", "lights-3"]
    assert photos.unpack(zip_of(PAIR), tmp_path, "../../..").name == "photos"


@pytest.mark.parametrize(
    "name",
    ["../red/a.jpg", "/etc/red/a.jpg", "red/../../a.jpg", "C:/red/a.jpg", "..\\red\\a.jpg", "C:\\red\\a.jpg"],
)
def test_a_member_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="outside the lab's folder"):
        photos.unpack(zip_of(PAIR | {name: b"x"}), tmp_path / "sets", "bad.zip")
    assert not (tmp_path / "sets").exists()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(kind: int, tmp_path: Path) -> None:
    file = zip_of(PAIR)
    with zipfile.ZipFile(file, "a") as archive:
        member = zipfile.ZipInfo("red/link.jpg")
        member.external_attr = (kind | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(PhotosError, match="a link or a device"):
        photos.unpack(file, tmp_path, "bad.zip")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match=r"unfolds [\d,]+ times"):
        photos.unpack(zip_of(PAIR | {"red/bomb.bmp": bytes(20_000_000)}), tmp_path / "sets", "bomb.zip")
    assert not (tmp_path / "sets").exists()


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="at most 50,000"):
        photos.unpack(zip_of({f"red/{i}": b"" for i in range(photos.ZIP_FILES_LIMIT + 1)}), tmp_path, "many.zip")


def test_a_name_that_is_listed_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="listed twice"):
        photos.unpack(zip_of(PAIR | {"red//a.jpg": b"x"}), tmp_path, "twice.zip")


@pytest.mark.parametrize("content", [b"", b"no zip at all", b"PK\x03\x04 and then nothing"])
def test_what_is_no_zip_is_a_sentence(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="is no whole zip file"):
        photos.unpack(io.BytesIO(content), tmp_path, "x.zip")


def test_an_empty_zip_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="is empty"):
        photos.unpack(zip_of({"__MACOSX/a": b""}), tmp_path, "x.zip")


def test_a_damaged_zip_leaves_nothing_behind(tmp_path: Path) -> None:
    content = bytearray(zip_of({"red/a.jpg": os.urandom(5000), "green/b.jpg": os.urandom(5000)}).getvalue())
    content[6000] ^= 0xFF  # in the second member's bytes: its checksum no longer fits
    with pytest.raises(PhotosError, match="is no whole zip file"):
        photos.unpack(io.BytesIO(bytes(content)), tmp_path, "x.zip")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_another_member_needs_a_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="could not be unpacked"):
        photos.unpack(zip_of({"red/a": b"a", "red/a/b.jpg": b"b", "green/c": b"c"}), tmp_path, "x.zip")
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_server_left_half_unpacked_is_removed_a_day_later(tmp_path: Path) -> None:
    for name, age in ((".part-old", 100_000), (".part-new", 10)):
        (tmp_path / name / "red").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    photos.unpack(zip_of(PAIR), tmp_path, "lights")
    assert sorted(os.listdir(tmp_path)) == [".part-new", "lights"]


# --- pictures to be classified ---------------------------------------------------------------------------------------


def picture(path: Path, suffix: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, suffix)
    return path


def test_pictures_are_found_however_deep_and_their_folder_is_their_label(tmp_path: Path) -> None:
    for name in ("b.png", "green/a.png", "trip/day one/red/z.PNG", "trip/red/y.png", "no_suffix"):
        picture(tmp_path / name)
    (tmp_path / "LICENSE.txt").write_text("text")
    (tmp_path / "green" / "broken.jpg").write_text("text")  # meant as a photo: found out when it is decoded
    for junk in (".hidden/c.png", "__MACOSX/d.png"):
        picture(tmp_path / junk)
    found = photos.list_pictures(tmp_path, "Trip")
    assert found.left_out == ()
    assert found.dataset.labels == ["green", "red"]
    assert [(photo.file, photo.label) for photo in found.dataset.photos] == [
        ("b.png", -1),
        ("green/a.png", 0),
        ("green/broken.jpg", 0),
        ("no_suffix", -1),
        ("trip/day one/red/z.PNG", 1),
        ("trip/red/y.png", 1),
    ]


def test_links_out_of_the_folder_are_left_out_and_loops_are_walked_once(tmp_path: Path) -> None:
    outside = picture(tmp_path / "outside" / "secret.png")
    inside = tmp_path / "inside"
    picture(inside / "red" / "a.png")
    (inside / "secret.png").symlink_to(outside)
    (inside / "red" / "up").symlink_to(inside)
    (inside / "loop.png").symlink_to("loop.png")
    found = photos.list_pictures(inside, "Inside")
    assert [photo.file for photo in found.dataset.photos] == ["red/a.png"]
    assert [file for file, _ in found.left_out] == ["loop.png", "secret.png"]
    assert len(photos.list_pictures(inside, "Inside", (tmp_path,)).dataset.photos) == 2


def test_a_folder_that_is_gone_or_empty(tmp_path: Path) -> None:
    assert photos.list_pictures(tmp_path, "Nothing").dataset.photos == []
    with pytest.raises(PhotosError, match="is not there any more"):
        photos.list_pictures(tmp_path / "gone", "Gone")


def test_uploads_are_kept_under_plain_names_of_their_own(tmp_path: Path) -> None:
    names = ["a.png", "A.PNG", "../../etc/passwd", "C:\\Users\\me\\b.jpg", ".hidden.png", "\0\n", "ö" * 300 + ".jpg"]
    folder = photos.keep_uploads([(name, name.encode()) for name in names], tmp_path / "pictures", "My pictures")
    assert folder == tmp_path / "pictures" / "my-pictures"
    assert sorted(os.listdir(folder)) == sorted(
        ["a.png", "A-2.PNG", "passwd", "b.jpg", "hidden.png", "picture", "ö" * 75 + ".jpg"]
    )
    assert (folder / "passwd").read_bytes() == b"../../etc/passwd"


@pytest.mark.parametrize(("number", "sentence"), [(0, "No pictures came"), (501, "at most 500 are taken at once")])
def test_no_uploads_and_too_many_are_sentences(number: int, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match=sentence):
        photos.keep_uploads([("a.png", b"x")] * number, tmp_path / "pictures", "x")
    assert not (tmp_path / "pictures").exists()


# --- thumbnails ------------------------------------------------------------------------------------------------------


def test_a_thumbnail_is_upright_and_small(tmp_path: Path) -> None:
    sideways = Image.new("RGB", (200, 100), "blue")
    sideways.paste("red", (0, 0, 20, 100))  # at the left; orientation 6 turns it to the top
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways.save(tmp_path / "phone.jpg", exif=exif)
    shown = Image.open(io.BytesIO(photos.thumbnail(tmp_path / "phone.jpg", 80)))
    assert shown.size == (40, 80)
    top, bottom = shown.getpixel((20, 2)), shown.getpixel((20, 70))
    assert top[0] > 200 > 60 > top[2]
    assert bottom[2] > 200 > 60 > bottom[0]


def test_transparency_is_shown_over_white(tmp_path: Path) -> None:
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    shown = Image.open(io.BytesIO(photos.thumbnail(tmp_path / "clear.png", 16)))
    assert shown.getpixel((8, 8)) == (255, 255, 255)


def test_what_cannot_be_shown_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    for name in ("text.jpg", "missing.jpg"):
        with pytest.raises(PhotosError, match=name):
            photos.thumbnail(tmp_path / name, 16)
