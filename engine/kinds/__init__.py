"""The kinds of run, as the dashboard and the command line know them: a room for each."""
