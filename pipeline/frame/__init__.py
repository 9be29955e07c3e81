"""One frame: its sky, its stars, and which of its pixels are not to be believed."""
