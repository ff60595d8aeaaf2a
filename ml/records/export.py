"""What became of each form a model was exported in."""

from pydantic import Field

from ml.records.record import Record


class Exported(Record):
    """One form of the model, and how its answers to the same raw rows differ from those of the SavedModel."""

    stage = "train"
    target: str = Field(description="savedmodel, or one of [serving] targets")
    file: str = Field(description="in the model folder")
    num_bytes: int = Field(0, description="of the file, or of all files in the folder")
    num_rows: int = Field(0, description="raw test rows that were compared")
    difference: float | None = Field(
        None, description="largest difference of any row, in probability, or in standard deviations of the label"
    )
    tolerance: float = Field(description="the largest difference that is published")
    quality: float | None = Field(None, description="the problem's metric on these rows")
    published: bool
    why: str = Field("", description="why it is not published, or what stands in for a comparison")
