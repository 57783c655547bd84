"""Ours against what a user would otherwise run, as ratios from one run on one machine."""
