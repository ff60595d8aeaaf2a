"""Run by Alembic: migrate over the connection, and inside the transaction, that `ml.database.migrate` gives."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="evergreen_version",  # the state may share a database with others that use Alembic
    transactional_ddl=True,  # SQLite can, although Alembic does not expect it
)
with context.begin_transaction():
    context.run_migrations()
