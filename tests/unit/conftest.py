import os
from pathlib import Path

import pytest

from ml.settings import PROJECT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the CFPB's extracts."""
    folder = Path(os.environ.get("EVERGREEN_DATA") or PROJECT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the CFPB extracts are not at {folder}: set EVERGREEN_DATA to their folder")
    return folder
