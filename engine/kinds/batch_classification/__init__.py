"""Batch classification: what one model says of many pictures."""
