"""What all records are."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """What a stage found out. `stage` names the stage that writes it and its file in the run's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
    stage: ClassVar[str]
