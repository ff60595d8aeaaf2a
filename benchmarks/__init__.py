"""What the system costs, measured: each prints a table and, as the last line, one JSON object."""
