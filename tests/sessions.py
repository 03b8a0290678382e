"""A session store as claude-code-hub fills it: its keys on a real server, and a request whose secrets can be searched
for."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

KEY = "sk-made-up-Q7fD2mXw9LpR4tVb8Kz1"
COOKIE = "s%3Aw0nderful-c00kie-jar-8812773"
BASIC = "YW5hOmh1bnRlcjItaHVudGVyMg=="
IN_ADDRESS = "AIza-made-up-7eZSW0jkFMBWY"
SHORT = "hunter2"
SECRETS = (KEY, COOKIE, BASIC, IN_ADDRESS, SHORT)

HEADERS = {
    "content-type": "application/json",
    "user-agent": "claude-cli/2.0.1 (external)",
    "authorization": f"Bearer {KEY}",
    "Proxy-Authorization": f"Basic {BASIC}",
    "x-api-key": KEY,
    "x-goog-api-key": IN_ADDRESS,
    "cookie": f"theme=dark; sid={COOKIE}",
    "x-service-password": SHORT,
}
BODY = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "你好 <b>&amp;"}], "stream": True}


def fill(redis: Redis, session: str, sequence: int, *, body: Any = BODY, count: int | None = None) -> None:
    """The keys of one request, and of its session, with the application's lifetime."""
    request = f"session:{session}:req:{sequence}:"
    values = {
        "clientReqMeta": {"url": f"https://hub.example/v1/messages?key={IN_ADDRESS}&beta=true", "method": "POST"},
        "upstreamReqMeta": {"url": f"https://ana:{SHORT}@relay.example/v1/messages", "method": "POST"},
        "upstreamResMeta": {"url": "https://relay.example/v1/messages", "statusCode": 200},
        "reqHeaders": HEADERS,
        "requestBody": body,
        "specialSettings": [{"type": "thinking_budget", "hit": True}],
    }
    for name, value in values.items():
        redis.set(request + name, json.dumps(value), ex=300)
    redis.set(f"session:{session}:seq", str(sequence if count is None else count), ex=300)
