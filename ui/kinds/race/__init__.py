"""The race, and the same run on two devices: form and results."""
