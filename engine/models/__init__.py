"""Models of every kind and the pictures they are asked about: what there is, the classifier's process, explanations."""
