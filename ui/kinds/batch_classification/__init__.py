"""Batch classification: many pictures on the Playground."""
