"""The race: learning rates side by side, and the same run on two devices."""
