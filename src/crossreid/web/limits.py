"""What is let in: from whom, how much, how many at once. It stands before everything else, and reads no body itself.

A request that is refused costs no more than its headers: the body of one that waits stays in the network until its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS_FOR_A_BODY = 30.0
_JSON = "application/json"
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""With every answer: nothing is loaded from elsewhere, framed or kept."""


class RefusedBodyError(Exception):
    """The body of a request is too large, or does not come to its end."""


class Limits:
    """ASGI middleware that refuses requests in one sentence.

    Args:
        app: what answers the others.
        hosts: names in the header Host, in lower case and without port: other ones come from a page that made a name of its own
            point here.
        largest: bytes of a body.
        working: requests that are worked on at once.
        waiting: requests that wait for these; further ones get code 503.
        seconds: in which a body has to arrive.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Collection[str],
        largest: int,
        working: int,
        waiting: int,
        seconds: float = _SECONDS_FOR_A_BODY,
    ) -> None:
        self.app = app
        self.hosts = frozenset(hosts)
        self.largest = largest
        self.most = working + waiting
        self.present = 0
        self.turn = asyncio.Semaphore(working)
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            # The application's start and end are let through; WebSockets, the only other kind, are not.
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = _headers_of(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _answer(send, *refusal)
            return
        self.present += 1
        try:
            async with self.turn:
                await self._work(scope, receive, send)
        finally:
            self.present -= 1

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        """Why a request is not even begun with: code and sentence."""
        host = headers.get("host", "")
        if _name_of(host) not in self.hosts:
            return 421, "This server is called by another name: restart it with names=[...] if the name is yours."
        if _from_elsewhere(scope, headers, host):
            return 403, "Requests from other pages are not answered."
        # A page elsewhere can make a browser send a form or plain text, but no JSON, without asking this server first.
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != _JSON:
            return 415, f"Send JSON, with the header Content-Type: {_JSON}."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.largest:
            return 413, self._too_large()
        if self.present >= self.most:
            return 503, "Too many requests at once: try again."
        return None

    def _too_large(self) -> str:
        return f"The request is larger than {self.largest / 2**20:g} MiB."

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer, with a body that ends in time and at the limit."""
        body = 0
        deadline = asyncio.get_running_loop().time() + self.seconds
        complete = False
        refusal: tuple[int, str] | None = None

        async def limited_receive() -> Message:
            nonlocal body, complete, refusal
            if complete:
                return await receive()  # waits for the client to leave
            left = deadline - asyncio.get_running_loop().time()
            try:
                # One deadline for the whole body: a client that sends a byte now and then does not put it off.
                message = await asyncio.wait_for(receive(), max(left, 0.001))
            except TimeoutError:
                refusal = 408, f"The request did not arrive within {self.seconds:g} seconds."
                raise RefusedBodyError from None
            body += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if body > self.largest:
                refusal = 413, self._too_large()
                raise RefusedBodyError
            return message

        async def protected_send(message: Message) -> None:
            # The application answers the missing body with an error of its own, which is not what is wrong.
            if refusal is not None:
                return
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}  # what it has set itself stays
                message["headers"] = [*message["headers"], *_protection(own)]
            await send(message)

        with contextlib.suppress(RefusedBodyError):
            await self.app(scope, limited_receive, protected_send)
        if refusal is not None:
            await _answer(send, *refusal)


def _from_elsewhere(scope: Scope, headers: dict[str, str], host: str) -> bool:
    """A browser says that another site's page makes this request; following a link to this one is no such thing."""
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
        return True
    navigation = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not navigation


def _headers_of(scope: Scope) -> dict[str, str]:
    """By name in lower case; of one that stands there twice the last."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers[name.decode("latin-1").lower()] = value.decode("latin-1")
    return headers


def _name_of(host: str) -> str:
    """A header Host without its port, ``[::1]`` without its brackets."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _protection(own: Collection[bytes]) -> list[tuple[bytes, bytes]]:
    """The headers of every answer, but for those that it has already."""
    headers = []
    for name, value in _HEADERS.items():
        if name.encode() not in own:
            headers.append((name.encode(), value.encode()))
    return headers


async def _answer(send: Send, code: int, sentence: str) -> None:
    """One sentence as JSON; the connection ends, with whatever else the client was going to send."""
    body = json.dumps({"error": sentence}).encode()
    headers: list[Any] = [
        (b"content-type", _JSON.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *_protection(()),
    ]
    if code == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
