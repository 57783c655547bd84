"""What AppTest says of a table, in the words that the browser shows."""

import pandas as pd
from streamlit import dataframe_util
from streamlit.testing.v1 import element_tree

numbers = element_tree.Dataframe.value.fget


def words(table: element_tree.Dataframe) -> pd.DataFrame:
    """Columns that hold numbers and show words (ui/sorting.py) as those words; None where nothing is known."""
    frame, shown = numbers(table), table.proto.arrow_data.styler.display_values
    if not shown:
        return frame
    said = dataframe_util.convert_arrow_bytes_to_pandas_df(shown)
    for name in frame.select_dtypes("number"):
        frame[name] = said[name].where(frame[name].notna(), None)
    return frame


def read_tables_as_shown() -> None:
    element_tree.Dataframe.value = property(words)
