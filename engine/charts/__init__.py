"""Records to Vega-Lite charts, as plain dictionaries; nothing here knows Streamlit."""
