"""What the environment decides. Read once, strictly; every variable is described in the README's table.

A secret may also come from a file: NAME_FILE instead of NAME. Both at once is an error, as is a file that is not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from storage.errors import Invalid, say
from storage.secret import Secret

DATABASE_VARIABLES = ("DATABASE_URL", "DSN", "PG_DATABASE_URL")
LEAST_KEY = 16
"""Characters of a SECRET_KEY. A stored password is no safer than the key is hard to guess."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this instance runs. Sizes in bytes, times in seconds."""

    data_folder: Path
    private_folder: Path | None = None
    """Programs and the embedded server's data; None means the place chosen by `storage.postgres.places`."""
    host: str = "127.0.0.1"
    port: int = 8632
    threads: int = 16
    database_url: Secret | None = None
    database_variable: str = ""
    session_store_url: Secret | None = None
    """The Redis in which the default database's application keeps its sessions' details."""
    scratch_database_url: Secret | None = None
    """Where backups are proven; None means the embedded server."""
    prove_every_days: int = 7
    """0 means that nothing is proven by itself."""
    pg_bin_dirs: tuple[Path, ...] = ()
    secret_key: Secret | None = None
    redis_url: Secret | None = None
    """Where several instances agree on whose turn it is; None where there is only this one."""
    admin_password: Secret | None = None
    time_zone: str = "UTC"
    parallel_jobs: int = 2
    restore_jobs: int = 2
    lock_wait_seconds: int = 60
    stall_seconds: int = 300
    stop_grace_seconds: int = 10
    space_reserve: int = 64 * 1024 * 1024
    session_idle_seconds: int = 12 * 3600
    behind_proxies: int = 0
    secure_cookies: bool = False
    alert_language: str = "en"
    """Of the letters to targets of the environment; what new targets begin with."""
    alert_webhook_url: Secret | None = None
    smtp_host: str = ""
    smtp_port: int | None = None
    """0 means the usual port of the way that `smtp_security` names."""
    smtp_security: str = "starttls"
    smtp_user: str = ""
    smtp_password: Secret | None = None
    smtp_from: str = ""
    smtp_to: str = ""
    webhook_url: Secret | None = None
    """This and the next three: single-address settings of earlier systems, for `storage.alerts.migration`."""
    circuit_breaker_webhook: Secret | None = None
    daily_leaderboard_webhook: Secret | None = None
    cost_alert_webhook: Secret | None = None
    upload_limit: int = 500 * 1024 * 1024
    log_format: str = "text"
    catchup_hours: int = 24

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the settings. Raises Invalid naming the variable that cannot be used."""
        defaults = cls(data_folder=Path("backups"))
        database_variable = next((name for name in DATABASE_VARIABLES if _secret(environment, name)), "")
        private_folder = environment.get("PGHAVEN_PRIVATE_FOLDER")
        return cls(
            data_folder=Path(environment.get("BACKUP_STORAGE_PATH") or "backups").absolute(),
            private_folder=Path(private_folder).absolute() if private_folder else None,
            host=environment.get("HOST") or defaults.host,
            port=_whole(environment, "PORT", defaults.port, least=0, most=65535),
            threads=_whole(environment, "THREADS", defaults.threads, least=8, most=256),
            database_url=_secret(environment, database_variable) if database_variable else None,
            database_variable=database_variable,
            session_store_url=_secret(environment, "SESSION_STORE_URL"),
            scratch_database_url=_secret(environment, "SCRATCH_DATABASE_URL"),
            prove_every_days=_whole(environment, "PROVE_EVERY_DAYS", defaults.prove_every_days, least=0, most=365),
            pg_bin_dirs=tuple(Path(part) for part in environment.get("PG_BIN_DIRS", "").split(os.pathsep) if part),
            secret_key=_key(environment),
            redis_url=_secret(environment, "REDIS_URL"),
            admin_password=_secret(environment, "ADMIN_PASSWORD"),
            time_zone=_zone(environment),
            catchup_hours=_whole(environment, "CATCHUP_HOURS", defaults.catchup_hours, least=0, most=24 * 31),
            parallel_jobs=_whole(environment, "PARALLEL_JOBS", defaults.parallel_jobs, least=1, most=16),
            restore_jobs=_whole(environment, "RESTORE_JOBS", defaults.restore_jobs, least=1, most=32),
            lock_wait_seconds=_whole(environment, "LOCK_WAIT_SECONDS", defaults.lock_wait_seconds, least=1),
            stall_seconds=_whole(environment, "STALL_SECONDS", defaults.stall_seconds, least=1),
            stop_grace_seconds=_whole(environment, "STOP_GRACE_SECONDS", defaults.stop_grace_seconds, least=0),
            space_reserve=_whole(environment, "SPACE_RESERVE_MB", defaults.space_reserve >> 20, least=0) << 20,
            session_idle_seconds=_whole(environment, "SESSION_IDLE_MINUTES", 720, least=1) * 60,
            behind_proxies=_whole(environment, "BEHIND_PROXIES", 0, least=0, most=5),
            log_format=_one_of(environment, "LOG_FORMAT", ("text", "json")),
            upload_limit=_whole(environment, "UPLOAD_LIMIT_MB", defaults.upload_limit >> 20, least=1) << 20,
            secure_cookies=_switch(environment, "SECURE_COOKIES"),
            alert_language=_one_of(environment, "ALERT_LANGUAGE", ("en", "zh")),
            alert_webhook_url=_secret(environment, "ALERT_WEBHOOK_URL"),
            smtp_host=environment.get("SMTP_HOST", "").strip(),
            smtp_port=_whole(environment, "SMTP_PORT", 0, least=1, most=65535) or None,
            smtp_security=_one_of(environment, "SMTP_SECURITY", ("starttls", "tls", "none")),
            smtp_user=environment.get("SMTP_USER", "").strip(),
            smtp_password=_secret(environment, "SMTP_PASSWORD"),
            smtp_from=environment.get("SMTP_FROM", "").strip(),
            smtp_to=environment.get("SMTP_TO", "").strip(),
            webhook_url=_secret(environment, "WEBHOOK_URL"),
            circuit_breaker_webhook=_secret(environment, "CIRCUIT_BREAKER_WEBHOOK"),
            daily_leaderboard_webhook=_secret(environment, "DAILY_LEADERBOARD_WEBHOOK"),
            cost_alert_webhook=_secret(environment, "COST_ALERT_WEBHOOK"),
        )


def _whole(environment: Mapping[str, str], name: str, default: int, *, least: int, most: int = 10**9) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise Invalid(
            say("%(name)s is “%(value)s”; it must be a whole number from %(least)s to %(most)s.",
                name=name, value=text[:40], least=least, most=most)
        )  # fmt: skip
    return int(text)


def _switch(environment: Mapping[str, str], name: str) -> bool:
    chosen = environment.get(name, "").strip().lower()
    if chosen not in ("", *_ON, *_OFF):
        raise Invalid(
            say("%(name)s is “%(value)s”; it must be one of: %(choices)s.",
                name=name, value=chosen[:40], choices=", ".join((*_ON, *_OFF)))
        )  # fmt: skip
    return chosen in _ON


_ON, _OFF = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def _one_of(environment: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first is the default."""
    chosen = environment.get(name, "").strip().lower() or choices[0]
    if chosen not in choices:
        raise Invalid(
            say("%(name)s is “%(value)s”; it must be one of: %(choices)s.",
                name=name, value=chosen[:40], choices=", ".join(choices))
        )  # fmt: skip
    return chosen


def _secret(environment: Mapping[str, str], name: str) -> Secret | None:
    value, file = environment.get(name), environment.get(f"{name}_FILE")
    if value and file:
        raise Invalid(say("Both %(name)s and %(name)s_FILE are set; keep one.", name=name))
    if file:
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Invalid(
                say("%(name)s_FILE names %(file)s, which cannot be read: %(reason)s",
                    name=name, file=file, reason=error.strerror or "")
            ) from error  # fmt: skip
    return Secret(value) if value else None


def _zone(environment: Mapping[str, str]) -> str:
    variable = "TIMEZONE" if environment.get("TIMEZONE") else "TZ"
    zone = environment.get(variable) or "UTC"
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(
            say("%(name)s is “%(value)s”, which is not a time zone; use a name such as Europe/Berlin.",
                name=variable, value=zone[:80])
        ) from error  # fmt: skip
    return zone


def _key(environment: Mapping[str, str]) -> Secret | None:
    key = _secret(environment, "SECRET_KEY")
    if key is not None and len(key.reveal) < LEAST_KEY:
        raise Invalid(
            say("SECRET_KEY has %(count)s characters; it must have %(least)s at least.",
                count=len(key.reveal), least=LEAST_KEY),
            advice=say("A good one is printed by: openssl rand -hex 32"),
        )  # fmt: skip
    return key
