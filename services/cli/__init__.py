"""The command line: one module per command; heavy imports stay inside them, so that `--help` is quick."""
