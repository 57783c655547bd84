"""The learning curve: form and results."""
