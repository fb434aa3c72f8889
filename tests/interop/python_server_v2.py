"""A server on the Python SDK 2.x over Streamable HTTP, in both eras. Usage: python_server_v2.py PORT"""

import asyncio
import sys
import warnings
from typing import Annotated

from mcp.server.mcpserver import Context, Elicit, ListRoots, MCPServer, Resolve, Sample
from mcp.types import CreateMessageResult, ListRootsResult, SamplingMessage, TextContent

from python_offers import Visitor, grow, hang, offer

# What 2026-07-28 deprecates is offered all the same.
warnings.simplefilter("ignore")
server = MCPServer("python-v2")
offer(server)


@server.tool()
async def count(to: int, context: Context) -> str:
    for number in range(1, to + 1):
        await context.report_progress(number, to, f"{number} of {to}")
    # The TypeScript clients drop a report that they read together with the answer.
    await asyncio.sleep(0.2)
    return f"counted to {to}"


@server.tool()
async def log(line: str, context: Context) -> str:
    for level in ("debug", "warning", "error"):
        await context.log(level, f"{level}: {line}")
    return "logged"


@server.tool("hang")
async def hang_up(name: str, context: Context) -> str:
    await hang(context, name)
    return "never seen"


def question(prompt: str) -> Sample:
    content = TextContent(type="text", text=f"context: {prompt}")
    return Sample([SamplingMessage(role="user", content=content)], max_tokens=9)


@server.tool("trigger-sampling-request")
async def sample(prompt: str, answer: Annotated[CreateMessageResult, Resolve(question)]) -> str:
    return answer.content.text


def who() -> Elicit[Visitor]:
    return Elicit("Who are you?", Visitor)


@server.tool("trigger-elicitation-request")
async def elicit(visitor: Annotated[Visitor, Resolve(who)]) -> str:
    return str(visitor)


def where() -> ListRoots:
    return ListRoots()


@server.tool("get-roots-list")
async def roots(found: Annotated[ListRootsResult, Resolve(where)]) -> str:
    return str(found.roots)


@server.tool()
async def touch(uri: str, context: Context) -> str:
    await context.notify_resource_updated(uri)
    return "touched"


@server.tool("toggle-subscriber-updates")
async def toggle(context: Context) -> str:
    return await touch("demo://resource/dynamic/text/1", context)


@server.tool("grow")
async def grow_up(name: str, context: Context) -> str:
    grow(server, name)
    if context.protocol_version >= "2026":
        await context.notify_tools_changed()
        await context.notify_prompts_changed()
        await context.notify_resources_changed()
    else:
        await context.session.send_tool_list_changed()
        await context.session.send_prompt_list_changed()
        await context.session.send_resource_list_changed()
    return "grown"


if __name__ == "__main__":
    server.run("streamable-http", port=int(sys.argv[1]))
