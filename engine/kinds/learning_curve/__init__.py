"""The learning curve: accuracy against the photos that are learned from."""
