"""Alembic's entry: runs on the connection that ``schema.versions.migrate`` hands over."""

from alembic import context

from schema.models import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=False)
with context.begin_transaction():
    context.run_migrations()
