"""Batch size: which ones fit into the memory, and how fast each is."""
