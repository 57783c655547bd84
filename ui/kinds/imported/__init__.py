"""Imported curves: form and results."""
