"""Delta tables `raw`, `valid`, `quarantine`, `labels`: one partition per day, replaced whole, so twice is once."""

from ml.tables.append import append as append
from ml.tables.columns import ARROW_TYPES as ARROW_TYPES
from ml.tables.columns import DAY as DAY
from ml.tables.commit import OvertakenError as OvertakenError
from ml.tables.log import Commit as Commit
from ml.tables.staged import Staged as Staged
from ml.tables.table import Table as Table
