"""What a page shows, read back as figures: by element, row and column, whatever they are called.

A number is compared as closely as it is written: "88.2%" is right for 0.8824, and "88.3%" is not.
"""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from streamlit.testing.v1 import AppTest

from tests import shown_tables

_NUMBER = re.compile(r"(?<![\w.])[-−+±]?\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+)h (\d\d)m|(\d+)m (\d\d)s|(\d+(?:\.\d+)?) ?(ms|s)\b")


# --- numbers in words ------------------------------------------------------------------------------------------------


def numbers(text: str) -> list[str]:
    """Every number of a text as it is written, without the commas between thousands: "92.7", "3670", "-2.1"."""
    return [each.replace(",", "").replace("−", "-").lstrip("±+") for each in _NUMBER.findall(text)]


def is_rounded(written: str, value: float) -> bool:
    """Whether a number that is written so can be that value, rounded."""
    mantissa, _, power = written.partition("e")
    places = len(mantissa.partition(".")[2])
    half = 0.5 * 10.0 ** (int(power or 0) - places)
    return abs(float(written) - value) <= half * (1 + 1e-6)


def says(text: str, *values: float) -> None:
    """Fails unless the numbers of the text are these, in this order, and no others."""
    found = numbers(text)
    assert len(found) == len(values), f"{text!r} has {len(found)} numbers, not {len(values)}: {values}"
    for written, value in zip(found, values, strict=True):
        assert is_rounded(written, value), f"{text!r}: {written} is not {value}"


def names(text: str, *values: float) -> None:
    """Fails unless each of these values is among the numbers of the text."""
    found = numbers(text)
    for value in values:
        assert any(is_rounded(written, value) for written in found), f"{value} is not in {text!r}"


def lasts(text: str, seconds: float) -> None:
    """Fails unless the text is this duration: "412 ms", "3.2 s", "38 s", "1m 04s", "2h 05m"."""
    (found,) = durations(text)
    said, half = found
    assert abs(said - seconds) <= half * (1 + 1e-6), f"{text!r} is not {seconds} s"


def last_in_order(text: str, *seconds: float) -> None:
    """The same of every duration in a text."""
    found = durations(text)
    assert len(found) == len(seconds), f"{text!r} has {len(found)} durations, not {len(seconds)}"
    for (said, half), value in zip(found, seconds, strict=True):
        assert abs(said - value) <= half * (1 + 1e-6), f"{text!r}: {said} is not {value} s"


def durations(text: str) -> list[tuple[float, float]]:
    """Every duration of a text in seconds, and how far it may be off by rounding."""
    found = []
    for hours, of_hour, minutes, of_minute, amount, unit in _DURATION.findall(text):
        if hours:  # whole minutes that have passed
            found.append((3600.0 * int(hours) + 60 * int(of_hour) + 30, 30.0))
        elif minutes:
            found.append((60.0 * int(minutes) + int(of_minute), 0.5))
        else:
            places = len(amount.partition(".")[2])
            found.append((float(amount) * _UNITS[unit], 0.5 * 10.0**-places * _UNITS[unit]))
    return found


def weighs(text: str, byte_count: float) -> None:
    """Fails unless the text is that many bytes: "812 KB", "14.2 MB", "4.7 GB"."""
    written, unit = re.fullmatch(r"([\d.,]+) (KB|MB|GB)", text).groups()
    assert is_rounded(written, byte_count / {"KB": 1e3, "MB": 1e6, "GB": 1e9}[unit]), f"{text!r}: {byte_count}"


# --- elements of a page ----------------------------------------------------------------------------------------------


def table(app: AppTest, place: int = 0) -> DataFrame:
    """The table at this place of the page, from 0; what stands beside all pages is not counted."""
    return app.main.dataframe[place].value


def table_of_numbers(app: AppTest, place: int = 0) -> DataFrame:
    """The same with the numbers that its words stand for, by which it sorts."""
    return shown_tables.numbers(app.main.dataframe[place])


def row_of(frame: DataFrame, name: str) -> list[Any]:
    """The cells of the row whose first column has this name among its words; a cell that is empty is None."""
    found = [list(row) for row in frame.itertuples(index=False) if name in re.split(r"[\s·(),]+", str(row[0]))]
    assert len(found) == 1, f"{len(found)} rows are called {name} in\n{frame}"
    return [None if value is None or value != value else value for value in found[0]]


def words(app: AppTest) -> str:
    """Everything that the page says in sentences."""
    kinds = (app.markdown, app.caption, app.error, app.warning, app.title, app.subheader, app.info)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def settings(app: AppTest, number: int = -1) -> list[str]:
    """The values of a table of settings, in its order; the first one of a run's page is the short one beside it."""
    return [str(value) for value in app.table[number].value.iloc[:, -1]]


def open_tab(app: AppTest, tabs: str, name: str) -> AppTest:
    """The page with another tab open."""
    app.session_state[tabs] = name
    app.run()
    assert not app.exception
    return app


# --- charts ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One layer of a chart: its mark, what its channels read, and the rows that it draws."""

    mark: str
    encoding: dict[str, Any]
    rows: list[dict[str, Any]]

    def field(self, channel: str) -> str:
        return self.encoding[channel]["field"]

    def values(self, channel: str, **only: Any) -> list[Any]:
        """What the channel reads of every row whose fields have these values."""
        name = self.field(channel)
        return [row[name] for row in self.rows if all(row.get(field) == value for field, value in only.items())]

    def title(self, channel: str) -> str:
        """Of an axis, lower case; "" where it has none."""
        each = self.encoding[channel]
        return str((each.get("axis") or {}).get("title") or each.get("title") or "").lower()


def chart(app: AppTest, place: int = 0) -> list[Layer]:
    """The layers of the chart at this place of the page, from 0; what stands beside all pages is not counted."""
    proto = app.main.get("vega_lite_chart")[place].proto
    datasets = {each.name: _rows(each.data.data) for each in proto.datasets}
    return list(_layers(json.loads(proto.spec), datasets))


def alt(app: AppTest, place: int = 0) -> str:
    """What is read out for that chart."""
    return app.main.get("vega_lite_chart")[place].proto.alt


def _rows(data: bytes) -> list[dict[str, Any]]:
    return convert_arrow_bytes_to_pandas_df(data).to_dict("records") if data else []


def _layers(spec: dict[str, Any], datasets: dict[str, list[dict[str, Any]]]) -> Iterator[Layer]:
    for each in spec.get("layer", [spec]):
        data = each.get("data", {})
        rows = data["values"] if "values" in data else datasets.get(data.get("name"), [])
        mark = each["mark"]["type"] if isinstance(each["mark"], dict) else each["mark"]
        yield Layer(mark, each.get("encoding", {}), rows)


def of_mark(layers: Sequence[Layer], mark: str, channel: str = "") -> list[Layer]:
    """The layers with this mark that have rows, and that read something by the channel."""
    return [each for each in layers if each.mark == mark and each.rows and (not channel or channel in each.encoding)]


def colours(layers: Sequence[Layer]) -> dict[str, str]:
    """The colour of each line by its name, the same in every layer that draws it."""
    found: dict[str, str] = {}
    for layer in layers:
        for channel in ("color", "fill"):
            scale = layer.encoding.get(channel, {}).get("scale") or {}
            for name, colour in zip(scale.get("domain", []), scale.get("range", []), strict=False):
                if isinstance(name, str):
                    assert found.setdefault(name, colour) == colour, f"{name} has two colours"
    return found


def lines(layers: Sequence[Layer]) -> dict[str, tuple[list[float], list[float]]]:
    """x and y of every line by its name, as the thick ones are drawn."""
    drawn = [layer for layer in of_mark(layers, "line", "color") if "strokeDash" in layer.encoding]
    found: dict[str, tuple[list[float], list[float]]] = {}
    for layer in drawn:
        for name in dict.fromkeys(layer.values("color")):
            only = {layer.field("color"): name}
            found[name] = (layer.values("x", **only), layer.values("y", **only))
    return found


def end_labels(layers: Sequence[Layer]) -> dict[str, str]:
    """What stands at the right end of every line, by its name."""
    texts = [layer for layer in of_mark(layers, "text") if "end" in layer.rows[0]]
    by_field = {layer.field("text"): layer for layer in texts}
    (name,) = (field for field, layer in by_field.items() if field == "lane")
    (value,) = (field for field in by_field if field != name)
    return {row[name]: row[value] for row in by_field[name].rows}


def squares(app: AppTest) -> list[str]:
    """The colours of the squares beside the rates of the form, from the first lane on."""
    urls = [each.proto.imgs[0].url for each in app.main.image]
    drawings = [base64.b64decode(url.split(",")[1]).decode() for url in urls if url.startswith("data:image/svg+xml")]
    return [found.group(1) for each in drawings if (found := re.search(r'fill="(#\w{6})"', each))]


def after(text: str, name: str) -> str:
    """The first number that stands behind a name."""
    return numbers(text[text.index(name) + len(name) :])[0]


def sentence(app: AppTest, *named: str) -> str:
    """The one text of the page that has all these names in it."""
    found = [each.value for each in app.main.markdown if all(name in each.value for name in named)]
    assert len(found) == 1, f"{len(found)} texts name {named}"
    return found[0]
