"""What crosses between the dashboard and its workers: Python 3.6, standard library only."""
