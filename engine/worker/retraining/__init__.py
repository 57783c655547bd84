"""Retraining: the stories of races, of depths, of batch sizes and of numbers of photos, and their parts. Python 3.6."""
