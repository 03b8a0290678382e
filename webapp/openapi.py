"""What `/openapi.json` says of a route. spectree collects the document; each route is described where it is made.

Documents are frozen dataclasses whose fields have the names of the JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from spectree import Response, SecurityScheme, SpecTree
from spectree.models import InType, SecureType, SecuritySchemeData
from spectree.plugins.flask_plugin import FlaskPlugin

from storage.errors import Invalid

View = TypeVar("View", bound=Callable[..., Any])
Answer = Any
"""The dataclass of a JSON document, a list of one, the media type of anything else, or None for no body."""

_OF_SPECTREE = 11
"""How many arguments spectree puts before those of the view."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    kind: str
    effect: str
    cause: str
    advice: str | None
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """How pghaven refuses: what happened to the data, why, what to do, and the original message of whatever failed."""

    error: Refusal


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A record as pghaven keeps it, with more in it than is promised."""

    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Certificate:
    """What was found when a backup was proven, with more in it than is promised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListQuery:
    limit: int = 100
    """At most 1000."""


def shown(facts: Any) -> dict[str, Any]:
    """A document as JSON: what is None is left out."""
    return asdict(facts, dict_factory=lambda pairs: {name: value for name, value in pairs if value is not None})


def schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of a dataclass, or of what its fields may be."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        possible = [schema(one) for one in arguments if one is not NoneType]
        return {"anyOf": [*possible, {"type": "null"}]} if NoneType in arguments else {"anyOf": possible}
    if origin is Literal:
        return {"type": "string", "enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": schema(arguments[0])}
    if kind in _PLAIN:
        return dict(_PLAIN[kind])
    hints = get_type_hints(kind)
    return {
        "title": kind.__name__,
        "type": "object",
        "properties": {
            one.name: schema(hints[one.name]) | ({} if one.default in (MISSING, None) else {"default": one.default})
            for one in fields(kind)
        },
        "required": [one.name for one in fields(kind) if one.default is MISSING],
    }


_PLAIN: Mapping[Any, Mapping[str, str]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    bytes: {"type": "string", "format": "binary"},
}


class _Dataclasses:
    """What spectree asks of documents as long as it only describes them."""

    validation_error = Invalid
    basefile = bytes

    def validate_obj(self, model: Any, value: Mapping[str, Any]) -> Any:
        return model(**value)

    def is_model_type(self, value: Any) -> bool:
        return True

    def make_list_model(self, model: Any) -> Any:
        return list[model]

    def json_schema(self, model: Any, *, ref_template: str, mode: str = "validation") -> dict[str, Any]:
        return schema(model)


class _Described(FlaskPlugin):
    """Describes, and stays out of the way of requests: routes read strictly by themselves, and some stream."""

    def validate(self, func: Any, *given: Any, **arguments: Any) -> Any:
        return func(*given[_OF_SPECTREE:], **arguments)


class _Answers(Response):
    """The answers of one route, and no others: spectree would add its own 422."""

    def __init__(self, answers: Mapping[int, Answer]) -> None:
        models = {f"HTTP_{status}": None if isinstance(kind, str) else kind for status, kind in answers.items()}
        super().__init__(**models)
        self._kinds = answers

    def generate_spec(self, *given: Any, **more: Any) -> dict[str, Any]:
        said = super().generate_spec(*given, **more)
        for status, kind in self._kinds.items():
            if isinstance(kind, str):
                said[str(status)]["content"] = {kind: {"schema": {"type": "string"}}}
            elif media := getattr(kind, "MEDIA_TYPE", ""):
                said[str(status)]["content"] = {media: said[str(status)]["content"]["application/json"]}
        return {str(status): said[str(status)] for status in self._kinds}


tree = SpecTree(
    backend=_Described,
    model_adapter=cast("Any", _Dataclasses()),
    title="pghaven",
    description="Backups and restores of PostgreSQL, with an access token or the session of a browser.",
    version="1",
    mode="strict",
    annotations=False,
    validation_error_model=Refused,
    security_schemes=[
        SecurityScheme(name="token", data=SecuritySchemeData(type=SecureType.HTTP, scheme="bearer")),
        SecurityScheme(
            name="session", data=SecuritySchemeData(type=SecureType.API_KEY, field_in=InType.COOKIE, name="pghaven")
        ),
    ],
    security=[{"token": []}, {"session": []}],
)


def described(
    answers: Mapping[int, Answer],
    *,
    tag: str,
    query: type | None = None,
    json: type | None = None,
    form: type | None = None,
    refused: type = Refused,
    refusals: tuple[int, ...] = (),
) -> Callable[[View], View]:
    """Put a route into the document. 401 and 403 go without saying; `refusals` are the other ones that it has."""
    every = {**answers, **dict.fromkeys((401, 403, *refusals), refused)}
    decorate: Callable[[View], View] = tree.validate(
        query=query, json=json, form=form, resp=_Answers(dict(sorted(every.items()))), tags=[tag]
    )
    return decorate
