"""Sets of handwritten digits, a digit that was drawn, and networks as text and as Keras code. Knows no run."""
