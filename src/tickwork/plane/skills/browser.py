"""A browser that runs a page's scripts, and reaches nothing but through the one way out.

Invariants:
    * The browser has no network: names lead nowhere, and every connection goes to a proxy that does not exist. What
      it asks for is fetched by the agent's own egress, under the agent's policy, and handed to it.
    * Only what reads is fetched. A script may not post, open sockets, or keep anything.
    * A browser lives for one page.
"""

from typing import Final

from playwright.sync_api import Browser, Error, Page, Route, TimeoutError, sync_playwright

from ..egress import Egress, Response
from ..errors import PlaneError, SkillFailed, SkillTimeout
from .skill import CallContext

MOST_REQUESTS: Final = 200
MOST_BYTES: Final = 32 << 20
MOST_ONE_BYTES: Final = 8 << 20
NOWHERE: Final = "http://127.0.0.1:9"
"""A proxy at the port of a service that throws everything away, and that nobody runs. Source: RFC 863."""

CLOSED: Final = (
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
)
LEFT_OUT: Final = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection", "set-cookie"})
"""Headers that are of the connection, or that a browser which keeps nothing has no use for."""


def show(first: Response, context: CallContext, egress: Egress, *, program: str, sandboxed: bool, wait_for: str) -> str:
    """Return the page as its scripts have made it, as HTML.

    Args:
        first: The page itself, fetched.
        program: The browser; empty for the one that Playwright brings.
        wait_for: A selector of CSS that has to match first; empty to wait until nothing is fetched any more.

    Raises:
        SkillTimeout: TW7009. SkillFailed: TW7008, the browser does not start, or ends.
    """
    fetcher = _Fetcher(first, context, egress)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=program or None,
                args=list(CLOSED),
                chromium_sandbox=sandboxed,
                proxy={"server": NOWHERE, "bypass": "<-loopback>"},
                env={"HOME": "/nonexistent", "LANG": "C.UTF-8"},
                timeout=context.left_ms(60_000),
            )
            try:
                return _shown(browser, first.url, fetcher, context, wait_for)
            finally:
                browser.close()
    except TimeoutError:
        raise SkillTimeout("the page was not complete in time") from None
    except Error as error:
        failed = SkillFailed(
            f"the browser failed: {error.message.splitlines()[0][:200] if error.message else 'no reason'}"
        )
        failed.unsent = True
        raise failed from None


def _shown(browser: Browser, url: str, fetcher: "_Fetcher", context: CallContext, wait_for: str) -> str:
    room = browser.new_context(service_workers="block", accept_downloads=False, java_script_enabled=True)
    room.route("**/*", fetcher.answer)
    room.route_web_socket("**/*", lambda socket: socket.close())
    page: Page = room.new_page()
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.goto(url, timeout=context.left_ms(60_000), wait_until="domcontentloaded")
    if wait_for:
        page.wait_for_selector(wait_for, state="attached", timeout=context.left_ms(60_000))
    else:
        page.wait_for_load_state("networkidle", timeout=context.left_ms(60_000))
    return page.content()


class _Fetcher:
    """Answers what the browser asks for."""

    def __init__(self, first: Response, context: CallContext, egress: Egress) -> None:
        self._first: Response | None = first
        self._context = context
        self._egress = egress
        self._requests = 0
        self._left = MOST_BYTES

    def answer(self, route: Route) -> None:
        """Fulfil a request, or refuse it."""
        request = route.request
        if self._first is not None and request.is_navigation_request():
            first, self._first = self._first, None
            route.fulfill(status=first.status, headers=_headers(first), body=first.body)
            return
        self._requests += 1
        if request.method not in ("GET", "HEAD") or self._requests > MOST_REQUESTS or self._left <= 0:
            route.abort()
            return
        sent = [(name, value) for name, value in request.headers.items() if name in ("accept", "accept-language")]
        try:
            answer = self._egress.request(
                request.method,
                request.url,
                sent,
                deadline_ms=self._context.left_ms(20_000),
                most_bytes=min(self._left, MOST_ONE_BYTES),
            )
        except PlaneError:
            # A part of a page that may not be had, or cannot be, is missing from it.
            route.abort()
            return
        self._left -= len(answer.body)
        route.fulfill(status=answer.status, headers=_headers(answer), body=answer.body)


def _headers(answer: Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers if name not in LEFT_OUT}
