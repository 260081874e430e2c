"""Base of all data that the parts exchange, and the types they share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
RequestId = Annotated[str, Field(min_length=1, max_length=120)]
"""Id of one action at the microscope. A repeated id returns the first outcome and does nothing."""

SeriesName = Literal["A", "B"]
Which = Literal["A", "B", "mean", "fused"]
"""Result that a count belongs to: one series, the mean of both volumes, or both series fused."""


class Data(BaseModel):
    """Frozen record that refuses unknown fields; base of everything sent between processes."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Settings(Data):
    """Section of a protocol; the docstrings of its fields are descriptions in the JSON schema."""

    model_config = ConfigDict(use_attribute_docstrings=True)
