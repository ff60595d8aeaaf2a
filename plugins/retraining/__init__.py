"""What the DAG files are made of. Imported at every parse, so nothing here imports `ml` or a heavy library at module level."""
