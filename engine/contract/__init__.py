"""What crosses between the dashboard and its workers: Python 3.6, standard library only."""

VERSION = "1.0.0"  # of the lab, as in CHANGELOG.md
