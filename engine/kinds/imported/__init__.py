"""Curves that were imported from TensorBoard's files."""
