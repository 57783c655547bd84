"""Curves of TensorBoard's files, read in the worker's Python. Python 3.6."""
