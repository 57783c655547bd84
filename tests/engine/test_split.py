"""Properties of the stable split: a photo's split is a matter of its own name, as in retrain.py."""

import hashlib
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as some

from engine import photos
from engine.contract.dataset import SPLITS, TESTING, TRAINING, VALIDATION

NAME = some.text(some.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=12)
FILES = some.lists(NAME | NAME.map(lambda name: f"a_nohash_{name}"), min_size=1, max_size=60, unique=True)
SHARES = some.tuples(some.integers(1, 45), some.integers(1, 45))  # percent for validation and for testing
USUAL = settings(deadline=None, max_examples=40)


def place(key: str) -> float:
    """Written from retrain.py: 0..100."""
    largest = 2**27 - 1
    digest = int(hashlib.sha1(key.partition("_nohash_")[0].encode("utf-8")).hexdigest(), 16)
    return digest % (largest + 1) * (100.0 / largest)


def by_place(key: str, shares: tuple[int, int]) -> str:
    at = place(key)
    return VALIDATION if at < shares[0] else TESTING if at < sum(shares) else TRAINING


def split(classes: dict[str, list[str]], shares: tuple[int, int]) -> dict[str, str]:
    """file -> its split"""
    folders = tuple(photos.ClassFolder(name, photos.label(name), tuple(classes[name])) for name in sorted(classes))
    scan = photos.Scan("Set", Path("/nowhere"), "", folders, (), (), 0)
    return {photo.file: photo.split for photo in photos.split(scan, *shares).photos}


@USUAL
@given(files=FILES, shares=SHARES, data=some.data())
def test_the_order_of_the_files_changes_nothing(files: list[str], shares: tuple[int, int], data) -> None:
    shuffled = data.draw(some.permutations(files))
    assert split({"a": shuffled}, shares) == split({"a": files}, shares)


@USUAL
@given(files=FILES, shares=SHARES)
def test_each_photo_stands_where_the_percentage_of_its_name_puts_it(files: list[str], shares: tuple[int, int]) -> None:
    expected = {f"a/{file}": by_place(f"a/{file}", shares) for file in files}
    found = split({"a": files}, shares)
    assert set(found) == set(expected)
    if set(expected.values()) == set(SPLITS):  # otherwise an empty split gets a photo of its neighbour
        assert found == expected
    if len({file.partition("_nohash_")[0] for file in files}) >= 3:
        assert set(found.values()) == set(SPLITS)


@USUAL
@given(files=FILES, more=NAME, shares=SHARES)
def test_another_photo_moves_no_other(files: list[str], more: str, shares: tuple[int, int]) -> None:
    assume(more not in files)
    assume({by_place(f"a/{file}", shares) for file in files} == set(SPLITS))
    before, after = split({"a": files}, shares), split({"a": [*files, more]}, shares)
    assert {file: after[file] for file in before} == before
    assert after[f"a/{more}"] == by_place(f"a/{more}", shares)


@USUAL
@given(first=FILES, second=FILES, third=FILES, shares=SHARES)
def test_a_class_is_split_for_itself(
    first: list[str], second: list[str], third: list[str], shares: tuple[int, int]
) -> None:
    alone = split({"b": first}, shares)
    beside = split({"a": second, "b": first, "c": third}, shares)
    assert {file: beside[file] for file in alone} == alone


@USUAL
@given(folder=NAME, shares=SHARES)
def test_of_many_photos_each_split_gets_its_percentage(folder: str, shares: tuple[int, int]) -> None:
    found = list(split({folder: [f"{number}.jpg" for number in range(1000)]}, shares).values())
    for name, share in ((VALIDATION, shares[0]), (TESTING, shares[1]), (TRAINING, 100 - sum(shares))):
        deviation = (1000 * share / 100 * (1 - share / 100)) ** 0.5  # of a binomial distribution, photos
        assert abs(found.count(name) - 10 * share) < 6 * deviation


@USUAL
@given(shares=SHARES)
def test_a_larger_share_for_testing_takes_photos_from_training_alone(shares: tuple[int, int]) -> None:
    files = [f"{number}.jpg" for number in range(200)]
    assume({by_place(f"a/{file}", shares) for file in files} == set(SPLITS))  # an empty split is filled from beside it
    smaller, larger = split({"a": files}, shares), split({"a": files}, (shares[0], shares[1] + 5))
    moved = {(smaller[file], larger[file]) for file in smaller if smaller[file] != larger[file]}
    assert moved <= {(TRAINING, TESTING)}
