"""ADQL 2.1 to SQL: sqlglot parses, SQLAlchemy builds each construct that is known anew, and all else is refused."""
