"""The comparison of networks for digits."""
