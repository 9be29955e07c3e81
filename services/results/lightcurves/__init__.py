"""Light curves for scientists: choose a source, read its light curve from the views, write it as a file."""
