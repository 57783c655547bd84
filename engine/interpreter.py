"""Imported first by every program of the dashboard's Python, before anything that loads protobuf.

NVIDIA's image for the Jetson TX2 tells its own Python 3.6 to use protobuf's old C++ code. Every process of the
container inherits that variable, and the protobuf of the dashboard's Python ends with an error when it meets it.
"""

import os

OF_THE_WORKER = ("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION",)

# Taken out of this process's environment, and given back to workers (engine/worker_programs.py).
taken_out = {name: os.environ.pop(name) for name in OF_THE_WORKER if name in os.environ}
