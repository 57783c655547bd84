"""Networks for handwritten digits: images, comparisons and why one is better; networks as text and as code."""
