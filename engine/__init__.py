"""The lab without a browser. Nothing is imported here, so that Python 3.6 can import past it."""
