"""A server on the Python SDK 1.x, its FastMCP over Streamable HTTP. Usage: python_server_v1.py PORT"""

import asyncio
import sys

from mcp.server.fastmcp import Context, FastMCP
from mcp.types import SamplingMessage, TextContent

from python_offers import LEVELS, Visitor, grow, hang, offer

server = FastMCP("python-v1", port=int(sys.argv[1]))
offer(server)
levels: dict[object, str] = {}


# FastMCP leaves the level to its user.
@server._mcp_server.set_logging_level()
async def set_level(level: str) -> None:
    levels[server.get_context().session] = level


@server.tool()
async def log(line: str, context: Context) -> str:
    wanted = LEVELS.index(levels.get(context.session, "info"))
    for level in ("debug", "warning", "error"):
        if LEVELS.index(level) >= wanted:
            await context.log(level, f"{level}: {line}")
    return "logged"


@server.tool()
async def count(to: int, context: Context) -> str:
    for number in range(1, to + 1):
        await context.report_progress(number, to, f"{number} of {to}")
    # The TypeScript clients drop a report that they read together with the answer.
    await asyncio.sleep(0.2)
    return f"counted to {to}"


@server.tool("hang")
async def hang_up(name: str, context: Context) -> str:
    await hang(context, name)
    return "never seen"


@server.tool("trigger-sampling-request")
async def sample(prompt: str, context: Context) -> str:
    question = SamplingMessage(role="user", content=TextContent(type="text", text=f"context: {prompt}"))
    answer = await context.session.create_message([question], max_tokens=9, related_request_id=context.request_id)
    return answer.content.text


@server.tool("trigger-elicitation-request")
async def elicit(context: Context) -> str:
    return str(await context.elicit("Who are you?", Visitor))


# A question that names no request: it is asked on the stream of what is unasked for.
@server.tool("get-roots-list")
async def roots(context: Context) -> str:
    return str((await context.session.list_roots()).roots)


@server.tool("grow")
async def grow_up(name: str, context: Context) -> str:
    grow(server, name)
    await context.session.send_tool_list_changed()
    await context.session.send_prompt_list_changed()
    await context.session.send_resource_list_changed()
    return "grown"


if __name__ == "__main__":
    server.run("streamable-http")
