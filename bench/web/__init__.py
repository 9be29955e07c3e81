"""Pages, tables and what strangers ask, on a database of millions of points: `make bench-web`."""
