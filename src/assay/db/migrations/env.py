"""Alembic's entry: runs the migrations on the connection, and in the transaction, that `Database.migrate` opened."""

from alembic import context

from assay.db.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
