"""Retraining on photos: what came of rates, depths, batch sizes, devices and numbers of photos."""
