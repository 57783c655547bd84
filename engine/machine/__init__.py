"""The machine: what it is, what it does while it trains, and what runs can compute on."""
