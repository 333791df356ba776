"""Payload types of many kinds, for the tests beside it."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import msgspec
from pydantic import BaseModel, Field

T = TypeVar("T")


class SendEmail(BaseModel):
    to: str
    subject: str = "hello"


class Aliased(BaseModel):
    to: str = Field(alias="recipient")


class Box(BaseModel, Generic[T]):
    inside: T


@dataclasses.dataclass
class Report:
    month: int
    year: int = 2026


@dataclasses.dataclass
class Crate(Generic[T]):
    inside: T


class Line(TypedDict):
    price: float
    note: NotRequired[str]


class Order(TypedDict):
    lines: list[Line]


class Point(NamedTuple):
    x: int
    y: int = 0


class Resize(msgspec.Struct, rename="camel"):
    max_width: int
    quality: float | None = None
    more: Any = None
