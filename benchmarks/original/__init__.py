"""What the scripts of TensorFlow for Poets do, written by us from their description, to be measured against."""
