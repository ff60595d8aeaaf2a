"""What all sections of a problem file have in common."""

from pydantic import BaseModel, ConfigDict

IDENTIFIER = r"^[a-z][a-z0-9_]*$"


class Section(BaseModel):
    """Frozen, and strict about names: a typo is an error, not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")
