"""Fine-tuning: form and results."""
