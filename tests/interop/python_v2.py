"""The Python SDK 2.x as a client. Usage: python_v2.py http|sse|stdio[-auto|-pin] BASE SCENARIO...

The client begins with `initialize`; with `-auto`, which is the SDK's default, it asks `server/discover`
first, and with `-pin` it takes for granted that it is understood.
"""

from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import mcp_types as types
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.sse import sse_client

from python_scenarios import ELICITED, ROOTS, Inbox, main, sampled, wire


@asynccontextmanager
async def connect(transport: str, target: str | dict, roots: bool):
    inbox = Inbox()

    async def on_message(message) -> None:
        if isinstance(message, Exception):
            raise message
        await inbox.add(wire(message))

    async def on_sampling(_context, params):
        if params.messages[0].content.text == "too late?":
            if transport in MODERN:
                # Nobody can tell a modern client that its answer is no longer wanted.
                await anyio.sleep(1)
            else:
                await inbox.hold_question()
        return types.CreateMessageResult.model_validate(sampled(wire(params)))

    async def on_elicitation(_context, _params):
        return types.ElicitResult.model_validate(ELICITED)

    async def on_roots(_context):
        return types.ListRootsResult.model_validate(ROOTS)

    if transport.startswith("stdio"):
        server = StdioServerParameters(**target)
    else:
        server = sse_client(target) if transport.startswith("sse") else target
    async with Client(
        server,
        mode={"auto": "auto", "pin": "2026-07-28"}.get(transport.partition("-")[2], "legacy"),
        message_handler=on_message,
        sampling_callback=on_sampling,
        elicitation_callback=on_elicitation,
        list_roots_callback=on_roots if roots else None,
    ) as client:
        if transport not in MODERN:
            assert client.protocol_version <= "2025-11-25", client.protocol_version
            yield Connection(client, inbox)
            return
        assert client.protocol_version == "2026-07-28", client.protocol_version
        async with AsyncExitStack() as subscriptions:
            yield ModernConnection(client, inbox, subscriptions)


class Connection:
    """One session; what it returns is in the words of the wire."""

    Refused = MCPError

    def __init__(self, client: Client, inbox: Inbox) -> None:
        self.client = client
        self.inbox = inbox

    async def tools(self):
        return wire(await self.client.list_tools())["tools"]

    async def call(self, tool: str, arguments=None, on_progress=None):
        return wire(await self.client.call_tool(tool, arguments or {}, progress_callback=on_progress))

    async def call_and_cancel(self, tool: str, arguments) -> None:
        """Cancels the call as soon as the server has reported progress on it."""
        with anyio.CancelScope() as scope:

            async def on_progress(*_) -> None:
                scope.cancel()

            await self.call(tool, arguments, on_progress)
        assert scope.cancelled_caught

    async def resources(self):
        return wire(await self.client.list_resources())["resources"]

    async def resource_templates(self):
        return wire(await self.client.list_resource_templates())["resourceTemplates"]

    async def read(self, uri: str):
        return wire(await self.client.read_resource(uri))["contents"]

    async def subscribe(self, uri: str) -> None:
        await self.client.subscribe_resource(uri)

    async def unsubscribe(self, uri: str) -> None:
        await self.client.unsubscribe_resource(uri)

    async def hear_changes(self) -> None:
        """Nothing to do: a legacy client hears of every change."""

    async def prompts(self):
        return wire(await self.client.list_prompts())["prompts"]

    async def prompt(self, name: str, arguments=None):
        return wire(await self.client.get_prompt(name, arguments))["messages"]

    async def complete(self, prompt: str, name: str, value: str):
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        argument = {"name": name, "value": value}
        return wire(await self.client.complete(reference, argument))["completion"]["values"]

    async def set_level(self, level: str) -> None:
        await self.client.set_logging_level(level)

    async def ping(self) -> None:
        await self.client.send_ping()

    async def roots_changed(self) -> None:
        await self.client.send_roots_list_changed()


class ModernConnection(Connection):
    """No session: what a legacy client tells the server once is part of each request."""

    def __init__(self, client: Client, inbox: Inbox, subscriptions: AsyncExitStack) -> None:
        super().__init__(client, inbox)
        self.subscriptions = subscriptions
        self.meta: dict = {}

    async def call(self, tool: str, arguments=None, on_progress=None):
        called = self.client.call_tool(tool, arguments or {}, progress_callback=on_progress, meta=self.meta)
        return wire(await called)

    async def set_level(self, level: str) -> None:
        self.meta = {"io.modelcontextprotocol/logLevel": level}

    async def hear_changes(self) -> None:
        kinds = ("tools_list_changed", "prompts_list_changed", "resources_list_changed")
        heard = await self.subscriptions.enter_async_context(self.client.listen(**dict.fromkeys(kinds, True)))
        assert all(getattr(heard.honored, kind) for kind in kinds), heard.honored

    async def subscribe(self, uri: str) -> None:
        heard = await self.subscriptions.enter_async_context(self.client.listen(resource_subscriptions=[uri]))
        assert heard.honored.resource_subscriptions == [uri], heard.honored

    async def unsubscribe(self, _uri: str) -> None:
        await self.subscriptions.aclose()


MODERN = {"http-auto", "http-pin", "stdio-auto", "stdio-pin"}

if __name__ == "__main__":
    main(connect)
