"""The Python SDK 1.x as a client. Usage: python_v1.py http|sse|stdio[@REVISION] BASE SCENARIO...

With a revision the client asks for that one instead of the newest that it knows.
"""

from contextlib import asynccontextmanager

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from pydantic import AnyUrl

from python_scenarios import ELICITED, ROOTS, Inbox, main, sampled, wire


@asynccontextmanager
async def connect(transport: str, target: str | dict, roots: bool):
    inbox = Inbox()
    transport, _, revision = transport.partition("@")
    if revision:
        types.LATEST_PROTOCOL_VERSION = revision

    async def on_message(message) -> None:
        if isinstance(message, types.ServerNotification):
            await inbox.add(wire(message.root))
        elif isinstance(message, Exception) and "unknown request ID" not in str(message):
            # What is not raised is a late answer to a cancelled request, which a client is to ignore.
            raise message

    async def on_sampling(_context, params):
        return types.CreateMessageResult.model_validate(sampled(wire(params)))

    async def on_elicitation(_context, _params):
        return types.ElicitResult.model_validate(ELICITED)

    async def on_roots(_context):
        return types.ListRootsResult.model_validate(ROOTS)

    opened = {
        "http": streamablehttp_client,
        "sse": sse_client,
        "stdio": lambda command: stdio_client(StdioServerParameters(**command)),
    }[transport]
    left = False
    try:
        async with opened(target) as (read, write, *_):
            async with ClientSession(
                read,
                write,
                message_handler=on_message,
                sampling_callback=on_sampling,
                elicitation_callback=on_elicitation,
                list_roots_callback=on_roots if roots else None,
            ) as session:
                result = await session.initialize()
                assert result.protocolVersion == types.LATEST_PROTOCOL_VERSION, result
                yield Connection(session, inbox)
                left = True
    except BaseException as error:
        if not (left and is_broken_stream(error)):
            raise


def is_broken_stream(error: BaseException) -> bool:
    """Whether the SDK's stdio client has read something while its session was being left, which it cannot bear."""
    inner = getattr(error, "exceptions", ())
    return isinstance(error, anyio.BrokenResourceError) or (bool(inner) and all(map(is_broken_stream, inner)))


class Connection:
    """One session; what it returns is in the words of the wire."""

    Refused = McpError

    def __init__(self, session: ClientSession, inbox: Inbox) -> None:
        self.session = session
        self.inbox = inbox

    async def tools(self):
        return wire(await self.session.list_tools())["tools"]

    async def call(self, tool: str, arguments=None, on_progress=None):
        return wire(await self.session.call_tool(tool, arguments or {}, progress_callback=on_progress))

    async def call_and_cancel(self, tool: str, arguments) -> None:
        """Cancels the call as soon as the server has reported progress on it."""
        running = anyio.Event()

        async def on_progress(*_) -> None:
            running.set()

        async with anyio.create_task_group() as tasks:
            # This SDK leaves the notification to its user; ids are counted from 0.
            request_id = self.session._request_id
            tasks.start_soon(self.call, tool, arguments, on_progress)
            await running.wait()
            params = types.CancelledNotificationParams(requestId=request_id, reason="changed my mind")
            await self.session.send_notification(
                types.ClientNotification(types.CancelledNotification(params=params))
            )
            tasks.cancel_scope.cancel()

    async def resources(self):
        return wire(await self.session.list_resources())["resources"]

    async def resource_templates(self):
        return wire(await self.session.list_resource_templates())["resourceTemplates"]

    async def read(self, uri: str):
        return wire(await self.session.read_resource(AnyUrl(uri)))["contents"]

    async def subscribe(self, uri: str) -> None:
        await self.session.subscribe_resource(AnyUrl(uri))

    async def unsubscribe(self, uri: str) -> None:
        await self.session.unsubscribe_resource(AnyUrl(uri))

    async def hear_changes(self) -> None:
        """Nothing to do: a legacy client hears of every change."""

    async def prompts(self):
        return wire(await self.session.list_prompts())["prompts"]

    async def prompt(self, name: str, arguments=None):
        return wire(await self.session.get_prompt(name, arguments))["messages"]

    async def complete(self, prompt: str, name: str, value: str):
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        argument = {"name": name, "value": value}
        return wire(await self.session.complete(reference, argument))["completion"]["values"]

    async def set_level(self, level: str) -> None:
        await self.session.set_logging_level(level)

    async def ping(self) -> None:
        await self.session.send_ping()

    async def roots_changed(self) -> None:
        await self.session.send_roots_list_changed()


if __name__ == "__main__":
    main(connect)
