"""What people and programs say about rows: joined with the answers, and asked for where it is worth most."""

from ml.feedback.agreement import agreements
from ml.feedback.answering import Answer, held, open_tasks, take
from ml.feedback.audit import estimate
from ml.feedback.join import run, watch
from ml.feedback.queue import batches
from ml.feedback.queue import run as queue

__all__ = ["Answer", "agreements", "batches", "estimate", "held", "open_tasks", "queue", "run", "take", "watch"]
