import altair as alt
import pytest

from engine.charts import playground_charts


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("seconds", [[0.02], [0.02] * 50, [0.0201, 0.0208, 0.031], [1e-5, 2e-5], [3.2, 7.9]])
def test_every_chart_is_valid_vega_lite(seconds, dark):
    alt.Chart.from_dict(playground_charts.histogram(seconds, seconds[0], seconds[-1], dark))


def test_every_call_is_in_the_histogram_and_both_rules_are_on_its_axis():
    spec = playground_charts.histogram([0.020, 0.021, 0.021, 0.0305], 0.021, 0.030, dark=False)
    bars = spec["layer"][0]["data"]["values"]
    assert sum(bar["calls"] for bar in bars) == 4
    rules = spec["layer"][1]["data"]["values"]
    assert [rule["words"] for rule in rules] == ["p50 21.0", "p95 30.0"]
    low, high = spec["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert all(low <= rule["at"] <= high for rule in rules)
