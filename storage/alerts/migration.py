"""Single-address webhook settings of earlier systems become targets with bindings. Decides only: the plan is the
preview, and `carry_out` writes exactly it, as one change of the book.

A second run finds what the first one made by its address, and adds nothing twice; what was bound or switched off by
hand since stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import parse_qs, quote, urlsplit

from storage.alerts.drafts import Draft, checked_webhook, read, service_name
from storage.alerts.model import Event
from storage.alerts.targets import Book, TargetKind
from storage.errors import Invalid, Message, StorageError, say
from storage.secret import Secret, SecretBox

SETTINGS: Mapping[str, tuple[Event, ...]] = {
    "circuit_breaker": (Event.FAILED, Event.RECOVERED, Event.LATE),
    "daily_leaderboard": (Event.LETTER,),
    "cost_alert": (Event.DISK, Event.DROPPED, Event.NOT_PROVEN),
    "webhook_url": tuple(event for event in Event if event is not Event.TEST),
}
"""What each earlier setting is bound to here: what broke, what is told regularly, what passed a limit; or all."""


class Provider(StrEnum):
    WECHAT = "wechat"
    FEISHU = "feishu"
    LARK = "lark"
    DINGTALK = "dingtalk"
    TELEGRAM = "telegram"
    CUSTOM = "custom"


HOSTS: Mapping[str, Provider] = {
    "qyapi.weixin.qq.com": Provider.WECHAT,
    "open.feishu.cn": Provider.FEISHU,
    "open.larksuite.com": Provider.LARK,
    "oapi.dingtalk.com": Provider.DINGTALK,
    "api.telegram.org": Provider.TELEGRAM,
}
"""By the whole host name: one that only contains or ends like one of these is somebody else's."""
NAMES: Mapping[Provider, str] = {
    Provider.WECHAT: "WeChat Work",
    Provider.FEISHU: "Feishu",
    Provider.LARK: "Feishu",
    Provider.DINGTALK: "DingTalk",
    Provider.TELEGRAM: "Telegram",
    Provider.CUSTOM: "Custom Webhook",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySetting:
    """One setting as it was found: which of `SETTINGS`, its address, and whether it was switched on."""

    setting: str
    url: Secret
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One address: the target it becomes or already is, and the rules that are bound to it now."""

    settings: tuple[str, ...]
    provider: Provider
    name: str = ""
    where: str = ""
    present_id: str = ""
    """The target that has this address already."""
    bindings: Mapping[Event, bool] = field(default_factory=dict)
    """What is added; of a target that is there, without what it has."""
    draft: Draft | None = None
    obstacle: Message | None = None
    """Why this address cannot be taken over."""

    @property
    def does_something(self) -> bool:
        return self.obstacle is None and (not self.present_id or bool(self.bindings))


def provider_of(url: str) -> Provider:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return HOSTS.get(host.rstrip(".").lower(), Provider.CUSTOM)


def plan(settings: Iterable[LegacySetting], book: Book, box: SecretBox, *, language: str = "en") -> tuple[Step, ...]:
    """What would be done, one step for each different address, in the order in which they came."""
    addresses: dict[str, list[LegacySetting]] = {}
    for setting in settings:
        if url := setting.url.reveal.strip():
            addresses.setdefault(url, []).append(setting)
    known = {_address_of(target.secrets, box): target for target in book.targets}
    taken = {target.name for target in book.targets}
    steps = []
    for url, found in addresses.items():
        provider = provider_of(url)
        step = Step(settings=tuple(one.setting for one in found), provider=provider)
        try:
            draft = _draft(url, provider, language)
        except Invalid as error:
            steps.append(replace(step, obstacle=error.cause))
            continue
        assert draft.url is not None
        bindings = _bindings(found)
        if present := known.get(draft.url.reveal):
            missing = {
                event: on for event, on in bindings.items() if event not in book.bindings.get(present.target_id, {})
            }
            steps.append(
                replace(step, name=present.name, where=present.where, present_id=present.target_id, bindings=missing)
            )
            continue
        name = _free_name(NAMES[provider], taken)
        taken.add(name)
        where = _where(draft)
        steps.append(replace(step, name=name, where=where, bindings=bindings, draft=replace(draft, name=name)))
    return tuple(steps)


def carry_out(steps: Iterable[Step], book: Book, box: SecretBox, *, new_id: Callable[[], str], by: str) -> Book:
    """The book with all of the steps done, to be written as one."""
    for step in steps:
        if not step.does_something:
            continue
        if step.present_id:
            book = book.with_bindings(step.present_id, step.bindings)
        else:
            assert step.draft is not None
            book = book.with_target(read(step.draft, box, target_id=new_id(), by=by), step.bindings)
    return book


def _bindings(found: Iterable[LegacySetting]) -> dict[Event, bool]:
    """Switched off where the setting was: it is taken over, and still silent. One that was on wins."""
    bindings: dict[Event, bool] = {}
    for setting in found:
        for event in SETTINGS[setting.setting]:
            bindings[event] = bindings.get(event, False) or setting.enabled
    return bindings


def _free_name(name: str, taken: Iterable[str]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


def _address_of(secrets: Mapping[str, str], box: SecretBox) -> str | None:
    try:
        return box.open(secrets["url"]).reveal if "url" in secrets else None
    except StorageError:
        return None  # closed with another key: it cannot be compared, and is not the same


def _where(draft: Draft) -> str:
    assert draft.url is not None
    if draft.kind is TargetKind.SERVICE:
        return service_name(draft.url.reveal)
    parts = urlsplit(draft.url.reveal)
    return f"{parts.scheme}://{parts.netloc}"


def _draft(url: str, provider: Provider, language: str) -> Draft:
    """The target that an address becomes. Raises Invalid, saying what the address lacks."""
    parts = checked_webhook(url)
    query = parse_qs(parts.query)
    last = parts.path.rstrip("/").rpartition("/")[2]
    match provider:
        case Provider.WECHAT:
            address = _service("wecombot", _needed(query, "key"))
        case Provider.FEISHU:
            address = _service("feishu", last)
        case Provider.LARK:
            address = _service("lark", last)
        case Provider.DINGTALK:
            address = _service("dingtalk", _needed(query, "access_token"))
        case Provider.TELEGRAM:
            token = next((part[3:] for part in parts.path.split("/") if part.startswith("bot")), "")
            address = _service("tgram", token, _needed(query, "chat_id"))
        case Provider.CUSTOM:
            return Draft(kind=TargetKind.WEBHOOK, language=language, url=Secret(url))
    service_name(address)
    return Draft(kind=TargetKind.SERVICE, language=language, url=Secret(address))


def _service(scheme: str, *parts: str) -> str:
    if not all(parts):
        raise Invalid(say("The address holds no token."))
    return f"{scheme}://{'/'.join(quote(part, safe=':') for part in parts)}/"


def _needed(query: Mapping[str, list[str]], name: str) -> str:
    value = query.get(name, [""])[0]
    if not value:
        raise Invalid(
            say("The address lacks “%(name)s”; add this target by hand with it.", name=name),
        )
    return value
