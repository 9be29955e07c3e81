"""Services of the Virtual Observatory: tables by ADQL (TAP), cone searches, and what belongs to a star or an image."""
