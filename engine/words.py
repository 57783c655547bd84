"""Numbers as people read them: durations, ages, sizes."""

import re
import time
from collections.abc import Sequence


class Amount(str):
    """Words for a number, by which a table sorts them."""

    number: float

    def __new__(cls, number: float, words: str) -> "Amount":
        found = super().__new__(cls, words)
        found.number = float(number)
        return found

    def __reduce__(self) -> tuple[type["Amount"], tuple[float, str]]:  # for caches, which pickle
        return Amount, (self.number, str(self))


def number(value: float) -> Amount:
    """9000 -> "9,000" """
    return Amount(value, f"{value:,}")


def duration(seconds: float) -> Amount:
    """21 ms, 38 s, 1m 04s, 48m 10s, 2h 05m; what a clock that was set back makes less than nothing is nothing"""
    seconds = max(0.0, seconds)
    if seconds < 0.995:
        return Amount(seconds, f"{seconds * 1000:.0f} ms")
    whole = round(seconds)
    if whole < 60:
        return Amount(seconds, f"{whole} s")
    if whole < 3600:
        return Amount(seconds, f"{whole // 60}m {whole % 60:02d}s")
    return Amount(seconds, f"{whole // 3600}h {whole % 3600 // 60:02d}m")


def age(t: float, now: float) -> Amount:
    """now, 12 min ago, 2 h ago, yesterday, 3 Nov 2026; `t` and `now` in Unix seconds"""
    passed = now - t
    if passed < 60:
        return Amount(passed, "now")
    if passed < 3600:
        return Amount(passed, f"{int(passed // 60)} min ago")
    day, today = time.localtime(t), time.localtime(now)
    if day[:3] == today[:3]:
        return Amount(passed, f"{int(passed // 3600)} h ago")
    if day[:3] == time.localtime(now - 86400)[:3]:
        return Amount(passed, "yesterday")
    return Amount(passed, f"{day.tm_mday} {time.strftime('%b %Y', day)}")


def size(byte_count: float) -> Amount:
    """812 KB, 14.2 MB, 4.7 GB"""
    if byte_count < 1e6:
        return Amount(byte_count, f"{byte_count / 1e3:.0f} KB")
    if byte_count < 1e9:
        return Amount(byte_count, f"{byte_count / 1e6:.1f} MB")
    return Amount(byte_count, f"{byte_count / 1e9:.1f} GB")


def count(number: int, one: str) -> str:
    """count(1, "photo") -> "1 photo", count(1484, "photo") -> "1,484 photos", count(2, "class") -> "2 classes" """
    plural = one + ("es" if one.endswith("s") else "s")
    return f"{number:,} {one if number == 1 else plural}"


def percent(share: float) -> Amount:
    """0.9184 -> "91.8%"."""
    return Amount(share, f"{share * 100:.1f}%")


def short_percent(share: float) -> Amount:
    """0.3 -> "30%", 0.125 -> "12.5%" """
    return Amount(share, f"{round(share * 100, 2):g}%")


def points(share: float) -> Amount:
    """0.0016 -> "0.16 pt": differences between good networks are small"""
    return Amount(share, f"{share * 100:.2f} pt")


def many(number: int) -> Amount:
    """101,632 or 10.8 million"""
    return Amount(number, f"{number:,}" if number < 1_000_000 else f"{number / 1e6:,.1f} million")


def epochs(number: float) -> str:
    """1 epoch, 2.5 epochs"""
    return f"{number:.3g} epoch{'' if number == 1 else 's'}"


def short_duration(seconds: float) -> Amount:
    """0.4 s, 38 s, 1m 04s: as `duration`, with tenths of the first ten seconds"""
    return Amount(seconds, f"{seconds:.1f} s") if seconds < 9.95 else duration(seconds)


def quick(seconds: float) -> Amount:
    """22 ms, 2.6 s, 1m 04s: of what may be short, as an epoch of a frozen network is"""
    return duration(seconds) if seconds < 0.1 else short_duration(seconds)


def join(words: Sequence[str]) -> str:
    """a, b and c; or "a, b; c and d" where a title has a comma of its own"""
    between = "; " if any("," in word for word in words) else ", "
    return " and ".join(filter(None, [between.join(words[:-1]), *words[-1:]]))


def plain(text: str) -> str:
    """Titles, folders and addresses as they are written, whatever they mean in Markdown.

    A colon means something before a word alone, as in :red[…] and :smile:, and stays what it is in a sentence; so does
    an ampersand that begins no entity, as in &amp;.
    """
    return re.sub(r"([\\`*_\[\]<>$~#|!]|:(?=[\w+/-])|&(?=#?\w+;))", r"\\\1", text)


def average(number: float) -> str:
    """20, 78.8"""
    return f"{number:,.1f}".removesuffix(".0")


def spread(deviation: float | None, before: str = "") -> str:
    """0.013 -> "±1.3 pt"; "" where nothing is known of it"""
    return "" if deviation is None else f"{before}±{deviation * 100:.1f} pt"


def speed(images_per_second: float) -> Amount:
    """8.4 -> "8.4 images/s", 1234 -> "1,234 images/s" """
    digits = 1 if images_per_second < 100 else 0
    return Amount(images_per_second, f"{images_per_second:,.{digits}f} images/s")


def signed(share: float) -> str:
    """0.009 -> "+0.9", with a minus sign that is one."""
    value = round(share * 100, 1)
    return f"{value:+.1f}".replace("-", "−") if value else "0.0"
