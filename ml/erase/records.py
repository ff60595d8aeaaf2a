"""What an erasure found and did; it names nobody."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field


class Place(BaseModel):
    """Where was looked, and how often the person was found there."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    before: int
    after: int
    remains: str = Field("", description="why something is still there, and until when")


class Touched(BaseModel):
    """A run whose frozen rows held the person."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run_key: str
    rows: dict[str, int] = Field(description="their rows per part; train and validation are what the model learned from")
    versions: tuple[int, ...] = Field(description="registered versions of the run's model")
    champion: bool


class Erased(BaseModel):
    """A whole erasure: `places` is the proof, `runs` the models to train anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    problem: str
    token: str = Field(description="stands for the person; a keyed hash")
    column: str
    in_texts: bool = Field(description="False: the name is too short, or a date, to be told from other words of texts and pages")
    dry_run: bool
    asked_at: datetime
    erased_before: datetime | None = Field(description="when the person was erased first, if it was not now")
    due: datetime | None = Field(description="when the old files of the tables go; None: they are gone, or there were none")
    num_old_files: int = Field(description="old files that still hold the person")
    places: tuple[Place, ...]
    runs: tuple[Touched, ...]
    mlflow: tuple[str, ...] = Field(description="files that were replaced in MLflow")

    @property
    def found(self) -> int:
        """How often the person was found before."""
        return sum(place.before for place in self.places)

    @property
    def unexplained(self) -> tuple[Place, ...]:
        """Places that should be clean and are not."""
        return tuple(place for place in self.places if place.after and not place.remains)
