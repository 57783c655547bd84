"""What answers pictures: models of every kind, and what an answer hangs on. Python 3.6."""
