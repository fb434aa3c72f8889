"""A Python SDK logs in at a guarded mount, of which it knows nothing but the URL. Usage: oauth_login.py URL

The scope that it gets first is enough for `echo`, for `add` it has to get another.
"""

import sys
import urllib.error
import urllib.parse
import urllib.request
from http.cookiejar import CookieJar

import anyio
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

try:
    import httpx2 as httpx
    from mcp.client.auth import AuthorizationCodeResult
except ImportError:
    import httpx

    AuthorizationCodeResult = None

REDIRECT = "http://127.0.0.1:1/callback"


class Kept:
    """What the client keeps of a login."""

    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client) -> None:
        self.client = client


class Halt(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments):
        return None


class Browser:
    """What a browser does: follows, with cookies, until it is sent back."""

    def __init__(self) -> None:
        self.pages: list[dict[str, str]] = []
        self.back: dict[str, str] = {}

    async def open(self, page: str) -> None:
        self.pages.append(query_of(page))
        self.back = await anyio.to_thread.run_sync(self.browse, page)

    @staticmethod
    def browse(page: str) -> dict[str, str]:
        no_proxy = urllib.request.ProxyHandler({})
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        opener = urllib.request.build_opener(no_proxy, cookies, Halt)
        while not page.startswith(REDIRECT):
            try:
                with opener.open(page, timeout=20) as answer:
                    raise AssertionError(f"{answer.status} at {page}: {answer.read()!r}")
            except urllib.error.HTTPError as answer:
                assert answer.code in (302, 303), (answer.code, page, answer.read())
                page = urllib.parse.urljoin(page, answer.headers["location"])
        return query_of(page)

    async def come_back(self):
        code, state = self.back["code"], self.back.get("state")
        if AuthorizationCodeResult is None:
            return code, state
        return AuthorizationCodeResult(code=code, state=state, iss=self.back.get("iss"))


def query_of(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


async def main(url: str) -> None:
    metadata = OAuthClientMetadata.model_validate(
        {
            "client_name": "story",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }
    )
    browser = Browser()
    provider = OAuthClientProvider(
        server_url=url,
        client_metadata=metadata,
        storage=Kept(),
        redirect_handler=browser.open,
        callback_handler=browser.come_back,
    )
    async with httpx.AsyncClient(auth=provider, timeout=30, trust_env=False) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, *_):
            async with ClientSession(read, write) as session:
                await session.initialize()
                said = await session.call_tool("echo", {"text": "in"})
                assert said.content[0].text == "in", said
                assert browser.pages[0]["resource"] == url, browser.pages
                assert browser.pages[0]["scope"].replace(" offline_access", "") == "mcp:use", browser.pages
                assert len(browser.pages) == 1, browser.pages
                print("ok login")
                said = await session.call_tool("add", {"a": 1, "b": 2})
                assert said.content[0].text == "3", said
                assert "mcp:admin" in browser.pages[1]["scope"].split(" "), browser.pages
                print("ok step-up")


anyio.run(main, sys.argv[1])
