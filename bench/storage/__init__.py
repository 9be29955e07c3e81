"""Rows of fluxes in and out of SQLite, MariaDB and MySQL, by the programs' own functions: `make bench-storage`."""
