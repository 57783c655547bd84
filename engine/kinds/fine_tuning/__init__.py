"""Fine-tuning: blocks of a backbone learn along with the last layer."""
