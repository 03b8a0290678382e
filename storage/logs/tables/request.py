"""Which rows and columns of a table are asked for: the page, an address, an export and the terminal, in one form."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from storage.errors import Invalid, say

TABLE = "table"
"""What these rows are called in the parameters of an export."""
MOST_CONDITIONS = 20


class Operator(StrEnum):
    EQUAL = "eq"
    UNEQUAL = "ne"
    LESS = "lt"
    AT_MOST = "le"
    MORE = "gt"
    AT_LEAST = "ge"
    CONTAINS = "contains"
    BEGINS = "begins"
    EMPTY = "empty"
    NOT_EMPTY = "not-empty"

    @property
    def sign(self) -> str:
        """As it is written at the terminal."""
        return _SIGNS.get(self, self.value)

    @property
    def has_value(self) -> bool:
        return self not in (Operator.EMPTY, Operator.NOT_EMPTY)


_SIGNS: Mapping[Operator, str] = {
    Operator.EQUAL: "=",
    Operator.UNEQUAL: "!=",
    Operator.LESS: "<",
    Operator.AT_MOST: "<=",
    Operator.MORE: ">",
    Operator.AT_LEAST: ">=",
}


@dataclass(frozen=True, slots=True)
class Condition:
    column: str
    operator: Operator
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """Rows of `table` that fulfil all conditions. Names are as they were typed: the catalogue decides about them."""

    table: str
    columns: tuple[str, ...] = ()
    """() for the usual ones: those that do not seem to keep secrets."""
    conditions: tuple[Condition, ...] = ()
    order: str = ""
    descending: bool = False

    def to_query(self) -> dict[str, Any]:
        """As the parameters of an address, the table left out; `read` takes them back."""
        said = {
            "columns": list(self.columns),
            "where": [one.column for one in self.conditions],
            "op": [one.operator.value for one in self.conditions],
            "value": [one.value for one in self.conditions],
            "order": self.order,
            "descending": "on" if self.descending else "",
        }
        return {name: value for name, value in said.items() if value}

    def to_json(self) -> dict[str, Any]:
        return {
            "of": TABLE,
            "table": self.table,
            "columns": list(self.columns),
            "where": [[one.column, one.operator.value, one.value] for one in self.conditions],
            "order": self.order,
            "descending": self.descending,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TableRequest:
        return cls(
            table=data["table"],
            columns=tuple(data["columns"]),
            conditions=tuple(Condition(column, Operator(op), value) for column, op, value in data["where"]),
            order=data["order"],
            descending=data["descending"],
        )


class Values(Protocol):
    """The parameters of an address or the fields of a form, of which each can be there several times."""

    def getlist(self, key: str) -> list[str]: ...

    def keys(self) -> Iterable[str]: ...


_FIELDS = ("columns", "where", "op", "value", "order", "descending")


def read(table: str, values: Values, *, beside: Collection[str] = ()) -> TableRequest:
    """Read an address or a form; a condition without a column is one that nobody has filled in. Raises Invalid, also
    for a field that is neither known nor among `beside`: passed over, a misspelt one would give more than was meant."""
    if unknown := sorted(set(values.keys()) - {*_FIELDS, *beside}):
        raise Invalid(
            say("There is no field “%(name)s”.", name=unknown[0][:60]),
            effect=say("Nothing was read."),
            advice=say("Known are: %(names)s.", names=", ".join(_FIELDS)),
        )
    conditions = _conditions(values.getlist("where"), values.getlist("op"), values.getlist("value"))
    order, descending = values.getlist("order")[:1], values.getlist("descending")[:1]
    return checked(
        TableRequest(
            table=table,
            columns=tuple(dict.fromkeys(values.getlist("columns"))),
            conditions=conditions,
            order="".join(order),
            descending=descending not in ([], [""], ["off"]),
        )
    )


def operator(text: str) -> Operator:
    """An operator by its name or its sign. Raises Invalid for anything else."""
    for one in Operator:
        if text in (one.value, one.sign):
            return one
    raise Invalid(
        say("“%(text)s” is not a way to compare; there are %(operators)s.",
            text=text[:40], operators=", ".join(one.sign for one in Operator)),
        effect=say("Nothing was read."),
    )  # fmt: skip


def checked(request: TableRequest) -> TableRequest:
    """The request itself. Raises Invalid for what no database could hold, and for too much of it."""
    words = [request.table, *request.columns, request.order]
    words += [word for one in request.conditions for word in (one.column, one.value)]
    if any("\0" in word for word in words):
        raise Invalid(say("The request has a letter that no database holds."), effect=say("Nothing was read."))
    if len(request.conditions) > MOST_CONDITIONS:
        raise Invalid(
            say("More than %(most)s conditions at once are not looked at.", most=MOST_CONDITIONS),
            effect=say("Nothing was read."),
        )
    return request


def _conditions(columns: Sequence[str], operators: Sequence[str], values: Sequence[str]) -> tuple[Condition, ...]:
    if not len(columns) == len(operators) == len(values):
        raise Invalid(
            say("The conditions are not whole: each has a column, a way to compare and a value."),
            effect=say("Nothing was read."),
        )
    return tuple(
        Condition(column, operator(sign), value)
        for column, sign, value in zip(columns, operators, values, strict=True)
        if column
    )
