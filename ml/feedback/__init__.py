"""What people and programs say about rows: joined with the answers, and asked for where it is worth most."""

from ml.feedback.join import run, watch

__all__ = ["run", "watch"]
