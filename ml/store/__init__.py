"""Files of a problem, in a folder or an S3 bucket. Every write is whole or not at all."""

from ml.store.folder import digest
from ml.store.store import Store, store_of
from ml.store.words import writing

__all__ = ["Store", "digest", "store_of", "writing"]
