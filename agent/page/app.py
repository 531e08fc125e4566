"""The operator page as a web application: few routes, read only, the same guards on each."""

import ipaddress
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic_core import to_json, to_jsonable_python

from agent.page.assets import Asset, Assets
from agent.page.events import Feed, Source, encode, running
from collectors.errors import LiniError

_METHODS = ("GET", "HEAD")
_LONGEST_SERIAL = 64
_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d{1,5})?")
_FOR_EVER = "public, max-age=31536000, immutable"
_SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; object-src 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def create_app(
    source: Source,
    *,
    clock: Callable[[], int],
    names: Collection[str] = (),
    limit: int = 250,
    trace: Callable[[str], Awaitable[object]] | None = None,
) -> web.Application:
    """Return the application that shows `source`.

    `clock` is the wall clock in ns since 1970. `names` are further host names under which the
    page may be asked for; at most `limit` pages are open at once. `trace` tells what there is to
    know of a serial, for /api/trace; it may raise LiniError.
    """
    assets = Assets.read()
    feed = Feed(source, clock=clock, release=assets.release, limit=limit)

    async def snapshot(_: web.Request) -> web.Response:
        return _json(encode(source.snapshot()))

    async def traced(request: web.Request) -> web.Response:
        serial = request.query.get("serial", "")
        if trace is None or not 0 < len(serial) <= _LONGEST_SERIAL:
            raise web.HTTPNotFound
        try:
            found = to_jsonable_python(await trace(serial))
        except LiniError as error:
            return _json(to_json({"what": error.what, "hint": error.hint}), status=503)
        is_known = found["lives"] or found["affected"]
        return _json(to_json(found), status=200 if is_known else 404)

    async def health(_: web.Request) -> web.Response:
        answer = encode({"ok": not feed.closed, "pages": feed.pages, "release": assets.release})
        return _json(answer, status=503 if feed.closed else 200)

    async def close(_: web.Application) -> None:
        feed.close()

    def run(_: web.Application) -> AsyncIterator[None]:
        return running(feed)

    app = web.Application(middlewares=[_guard(frozenset(name.lower() for name in names))])
    app.on_response_prepare.append(_secure)
    app.on_shutdown.append(close)
    app.cleanup_ctx.append(run)
    app.router.add_get("/events", feed.stream)
    app.router.add_get("/api/snapshot", snapshot)
    app.router.add_get("/api/trace", traced)
    app.router.add_get("/healthz", health)
    app.router.add_get("/", partial(_send, assets.root["index.html"], "no-cache"))
    for name, asset in assets.root.items():
        app.router.add_get(f"/{name}", partial(_send, asset, "no-cache"))
    for name, asset in assets.hashed.items():
        path = f"/static/{assets.release}/{name}"
        app.router.add_get(path, partial(_send, asset, _FOR_EVER))
    return app


async def _send(asset: Asset, cache: str, request: web.Request) -> web.Response:
    headers = {"Cache-Control": cache, "ETag": f'W/"{asset.etag}"', "Vary": "Accept-Encoding"}
    if any(asset.etag == tag.value for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    headers["Content-Type"] = asset.content_type
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.plain, headers=headers)
    return web.Response(body=asset.packed, headers={**headers, "Content-Encoding": "gzip"})


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(
        body=body,
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _secure(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_SECURITY)
    response.headers.popall("Server", None)  # whom does the version of our server help?


def _guard(names: frozenset[str]) -> Middleware:
    """Refuse every method that could change something, and every foreign host name.

    A page elsewhere could otherwise point its own name at this machine and read along.
    """

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in _METHODS:
            raise web.HTTPMethodNotAllowed(request.method, _METHODS)
        if not _is_ours(request.headers.get("Host", ""), names):
            raise web.HTTPMisdirectedRequest(
                text="421: this name is not in the page's configuration; use the IP address"
            )
        return await handler(request)

    return guard


def _is_ours(host: str, names: frozenset[str]) -> bool:
    found = _HOST.fullmatch(host.lower())
    if not found:
        return False
    name = found["name"] or found["ipv6"]
    if name == "localhost" or name.endswith(".local") or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
