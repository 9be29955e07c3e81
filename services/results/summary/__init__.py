"""What `tianyu run` says at its end of an observation: its numbers, and what to know about them."""
