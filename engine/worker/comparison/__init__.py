"""A comparison of networks for digits: its story, its networks, and what is kept of them. Python 3.6."""
