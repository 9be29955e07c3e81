"""The sky: catalogues of stars, and where an image is among them."""
