"""The comparison of networks for digits: form, network builder and results."""
