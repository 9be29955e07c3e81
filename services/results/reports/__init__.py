"""One page on a star, and one on a night."""
