"""Reads the coefficients that lie beside the code. A file that does not fit its model is a fault of ours and raises."""

import tomllib
from importlib.resources import files
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Table(Row):
    """`version` goes up with every change of a value, and is stored with whatever was worked out from them."""

    version: int = Field(ge=1)


Kind = TypeVar("Kind", bound=Table)


def read_table(package: str, name: str, kind: type[Kind]) -> Kind:
    return kind.model_validate(tomllib.loads(files(package).joinpath(name).read_text(encoding="utf-8")))
