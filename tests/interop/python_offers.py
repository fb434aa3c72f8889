"""What the Python servers offer whatever their SDK's version, as far as the scenarios use it.

They listen on a port of 127.0.0.1 for Streamable HTTP and stand in for the servers everything and odd-jobs.
"""

import asyncio
import base64
import tempfile
from pathlib import Path
from typing import TypedDict

from mcp.types import Completion, ImageContent, TextContent
from pydantic import BaseModel

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
LEVELS = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"]


class Weather(TypedDict):
    temperature: int


class Visitor(BaseModel):
    name: str
    check: bool = False


def offer(server) -> None:
    """Gives a server what needs no client that can be asked."""

    @server.tool()
    def echo(message: str) -> str:
        return f"Echo: {message}"

    @server.tool("get-sum")
    def get_sum(a: int, b: int) -> str:
        return f"The sum of {a} and {b} is {a + b}."

    @server.tool("get-structured-content")
    def get_structured_content(location: str) -> Weather:
        return {"temperature": 36}

    @server.tool("get-tiny-image")
    def get_tiny_image() -> list:
        image = ImageContent.model_validate({"type": "image", "data": PIXEL, "mimeType": "image/png"})
        return [TextContent(type="text", text="before"), image, TextContent(type="text", text="after")]

    @server.tool()
    async def await_cancellation(name: str) -> str:
        while not note(name).exists():
            await asyncio.sleep(0.01)
        note(name).unlink()
        return "hang was cancelled"

    @server.resource("demo://resource/static/architecture.md")
    def document() -> str:
        return "Everything in one place"

    @server.resource("demo://resource/dynamic/blob/{resourceId}")
    def blob(resourceId: str) -> bytes:
        return base64.b64encode(resourceId.encode())

    @server.prompt("simple-prompt")
    def simple_prompt() -> str:
        return "simple"

    @server.prompt("args-prompt")
    def args_prompt(city: str) -> str:
        return f"Weather in {city}?"

    @server.prompt("completable-prompt")
    def completable_prompt(department: str) -> str:
        return department

    @server.completion()
    async def complete(_reference, argument, _context) -> Completion:
        names = ("Engineering", "Sales", "Support")
        return Completion(values=[name for name in names if name.startswith(argument.value)])


async def hang(context, name: str) -> None:
    """Says that it runs, ends only by being cancelled."""
    await context.report_progress(1)
    try:
        await asyncio.sleep(3600)
    finally:
        note(name).touch()


def grow(server, name: str) -> None:
    """Adds a tool; whoever calls this says so."""
    server.add_tool(lambda: "new", name)


def note(name: str) -> Path:
    """Where it is noted that a call was cancelled."""
    return Path(tempfile.gettempdir()) / f"interop-{name}"
