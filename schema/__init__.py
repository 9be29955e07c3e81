"""What is stored: SQLAlchemy models, Alembic migrations, SQL views, sessions and queries."""
