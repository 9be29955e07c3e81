"""The web service: pages that only read the database, drawn by the server, for browsers without the internet."""
