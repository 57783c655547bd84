"""Retraining on photos: the photos, and what came of rates, depths, batch sizes, devices and numbers of photos."""
