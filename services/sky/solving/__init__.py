"""Where an image is on the sky: by index files of star patterns, else by a catalogue of stars."""
