"""Parts of the page Device, and what other pages show of the machine."""
