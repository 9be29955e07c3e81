"""Alembic's entry: runs on the connection that ``schema.versions.migrate`` hands over."""

from alembic import context

from schema.models import metadata

connection, progress = context.config.attributes["connection"], context.config.attributes.get("progress")
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=False,
    on_version_apply=None if progress is None else progress.next_migration,
)
if progress is not None:
    implementation = context.get_context().impl
    implementation._exec = progress.counting(implementation._exec)  # type: ignore[method-assign]
with context.begin_transaction():
    context.run_migrations()
