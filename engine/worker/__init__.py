"""The only code that imports TensorFlow: Python 3.6 syntax, started as processes of their own."""
