"""Batch size: form and results."""
