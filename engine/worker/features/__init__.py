"""Photos to what a last layer learns from: bottlenecks and their cache, distortions, splits. Python 3.6."""
