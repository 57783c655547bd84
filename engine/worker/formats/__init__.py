"""File formats: weights, graphs, archives and figures of other programs, read, checked and written. Python 3.6."""
