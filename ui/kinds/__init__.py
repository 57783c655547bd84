"""The kinds of run on the pages: a form and results for each."""
