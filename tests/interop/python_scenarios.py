"""What a Python client is made to do, whatever its SDK's version; see `main` for the command line."""

import hashlib
import json
import os
import sys
import time
import traceback
import uuid
import warnings
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

# Each server is a mount, or a view of the aggregate.
FOLDER = os.environ.get("INTEROP_FOLDER", "servers")

ELICITED = {"action": "accept", "content": {"name": "Ada", "check": True}}
ROOTS = {"roots": [{"uri": "file:///somewhere", "name": "somewhere"}]}


def wire(model) -> dict:
    """A model of either SDK in the words of the wire."""
    return model.model_dump(by_alias=True, mode="json", exclude_none=True)


def sampled(params: dict) -> dict:
    """The answer to `sampling/createMessage`: the question in capitals."""
    content = params["messages"][0]["content"]
    question = (content[0] if isinstance(content, list) else content)["text"]
    return {"role": "assistant", "model": "shout", "content": {"type": "text", "text": question.upper()}}


def fresh() -> str:
    """A name that nobody else uses: modern clients share a process, in which what one does stays."""
    return f"n{uuid.uuid4().hex}"


def text(result: dict) -> str:
    """The first text of a tool's result, which must not be an error."""
    assert not result.get("isError"), result
    return result["content"][0]["text"]


class Inbox:
    """What the server said unasked, in order."""

    def __init__(self) -> None:
        self.messages: list[dict] = []
        self.withdrawn = anyio.Event()
        self._changed = anyio.Condition()

    async def add(self, message: dict) -> None:
        async with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def having(self, method: str, mention: str = "", **params) -> list[dict]:
        return [
            message
            for message in self.messages
            if message["method"] == method
            and params.items() <= message.get("params", {}).items()
            and mention in str(message)
        ]

    async def until(self, method: str, *, count: int = 1, mention: str = "", **params) -> None:
        """Waits for `count` messages of that method with those params that mention something."""
        async with self._changed:
            while len(self.having(method, mention, **params)) < count:
                await self._changed.wait()

    async def hold_question(self) -> None:
        """Lets a question of the server wait for ever, and notes that it was withdrawn."""
        try:
            await anyio.sleep_forever()
        finally:
            self.withdrawn.set()


class Scenarios:
    """Every public method is a scenario. `connect(mount)` opens one session.

    Only with `roots=True` does it declare roots: the server everything asks for them a moment after the
    handshake, and these SDKs fail when a message arrives while a session is being left.
    """

    def __init__(self, connect) -> None:
        self.connect = connect

    async def tools(self) -> None:
        async with self.connect("everything") as client:
            tools = {tool["name"] for tool in await client.tools()}
            assert {"echo", "get-sum", "get-structured-content"} <= tools, tools
            assert text(await client.call("get-sum", {"a": 2, "b": 40})) == "The sum of 2 and 40 is 42."
            result = await client.call("get-structured-content", {"location": "Chicago"})
            assert result["structuredContent"]["temperature"] == 36, result
            image = await client.call("get-tiny-image")
            assert [part["type"] for part in image["content"]] == ["text", "image", "text"], image

    async def unicode(self) -> None:
        odd = "café ✓ 日本語 🎉 \u2028\u2029\x7f \\u0041 \"quoted\"\r\n\tend"
        async with self.connect("everything") as client:
            assert text(await client.call("echo", {"message": odd})) == f"Echo: {odd}"

    async def concurrency(self) -> None:
        async with self.connect("everything") as client, anyio.create_task_group() as tasks:

            async def echo(number: int) -> None:
                message = f"number {number}"
                assert text(await client.call("echo", {"message": message})) == f"Echo: {message}"

            for number in range(20):
                tasks.start_soon(echo, number)

    async def resources(self) -> None:
        async with self.connect("everything") as client:
            uris = [resource["uri"] for resource in await client.resources()]
            document = next(uri for uri in uris if uri.endswith("/architecture.md"))
            assert "Everything" in (await client.read(document))[0]["text"]
            templates = [template["uriTemplate"] for template in await client.resource_templates()]
            assert "demo://resource/dynamic/blob/{resourceId}" in templates, templates
            blob = (await client.read("demo://resource/dynamic/blob/7"))[0]
            assert blob["mimeType"] and blob["blob"], blob

    async def subscription(self) -> None:
        uri = "demo://resource/dynamic/text/1"
        async with self.connect("everything") as client:
            await client.subscribe(uri)
            # Modern clients share a process, so somebody else may have switched the updates on already.
            while text(await client.call("toggle-subscriber-updates")).startswith("Stopped"):
                pass
            await client.inbox.until("notifications/resources/updated", uri=uri)
            await client.unsubscribe(uri)

    async def prompts(self) -> None:
        async with self.connect("everything") as client:
            names = {prompt["name"] for prompt in await client.prompts()}
            assert {"simple-prompt", "args-prompt"} <= names, names
            messages = await client.prompt("args-prompt", {"city": "Berlin"})
            assert "Berlin" in messages[0]["content"]["text"], messages

    async def completion(self) -> None:
        async with self.connect("everything") as client:
            values = await client.complete("completable-prompt", "department", "E")
            assert values == ["Engineering"], values

    async def logging(self) -> None:
        method, loud, quiet = "notifications/message", "demo://resource/dynamic/text/1", "demo://resource/dynamic/text/2"
        async with self.connect("everything") as client:
            await client.set_level("debug")
            await client.subscribe(loud)
            await client.inbox.until(method, level="info", mention=f"Received Subscribe Resource request for URI: {loud} ")
            await client.set_level("error")
            await client.subscribe(quiet)
            await client.ping()
            assert not client.inbox.having(method, mention=quiet)

    async def progress(self) -> None:
        seen = []

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            seen.append((progress, total, message))

        async with self.connect("odd-jobs") as client:
            assert text(await client.call("count", {"to": 200}, on_progress)) == "counted to 200"
        assert seen == [(number, 200, f"{number} of 200") for number in range(1, 201)], seen

    async def cancellation(self) -> None:
        async with self.connect("odd-jobs") as client:
            name = {"name": fresh()}
            await client.call_and_cancel("hang", name)
            assert text(await client.call("await_cancellation", name)) == "hang was cancelled"

    async def withdrawal(self) -> None:
        async with self.connect("odd-jobs") as client:
            assert text(await client.call("give_up")).startswith("gave up")
            await client.inbox.withdrawn.wait()

    async def sampling(self) -> None:
        async with self.connect("everything") as client:
            answer = text(await client.call("trigger-sampling-request", {"prompt": "louder"}))
            assert "CONTEXT: LOUDER" in answer, answer

    async def elicitation(self) -> None:
        async with self.connect("everything") as client:
            result = await client.call("trigger-elicitation-request")
            assert "Ada" in str(result["content"]), result

    async def roots(self) -> None:
        async with self.connect("everything", roots=True) as client:
            # The server asks by itself and logs the answer; then again when it is told of a change.
            answered = {"data": "Roots updated: 1 root(s) received from client"}
            await client.inbox.until("notifications/message", **answered)
            assert "file:///somewhere" in text(await client.call("get-roots-list"))
            await client.roots_changed()
            await client.inbox.until("notifications/message", count=2, **answered)

    async def asked_roots(self) -> None:
        async with self.connect("everything", roots=True) as client:
            assert "file:///somewhere" in text(await client.call("get-roots-list"))

    async def late_answer(self) -> None:
        """A modern client answers a question that the server has withdrawn: the call has gone on without."""
        async with self.connect("odd-jobs") as client:
            assert text(await client.call("give_up")).startswith("gave up")

    async def log_lines(self) -> None:
        line, method = fresh(), "notifications/message"
        async with self.connect("odd-jobs") as client:
            await client.set_level("warning")
            await client.call("log", {"line": line})
            await client.inbox.until(method, data=f"error: {line}")
            assert [message["params"]["level"] for message in client.inbox.having(method)] == ["warning", "error"]
            await client.set_level("debug")
            await client.call("log", {"line": line})
            await client.inbox.until(method, data=f"debug: {line}")

    async def ping(self) -> None:
        async with self.connect("odd-jobs") as client:
            await client.ping()
            assert text(await client.call("ping_client")) == "the client answered"

    async def list_changed(self) -> None:
        async with self.connect("odd-jobs") as client:
            await client.hear_changes()
            name = fresh()
            assert name not in [tool["name"] for tool in await client.tools()]
            await client.call("grow", {"name": name})
            for kind in ("tools", "prompts", "resources"):
                await client.inbox.until(f"notifications/{kind}/list_changed")
            assert name in [tool["name"] for tool in await client.tools()]
            assert text(await client.call(name)) == "new"

    async def errors(self) -> None:
        async with self.connect("everything") as client:
            try:
                found = await client.read("demo://resource/nowhere")
            except client.Refused as refused:
                assert refused.error.code == -32602, refused.error
                assert "nowhere" in refused.error.message, refused.error
            else:
                raise AssertionError(found)
            failed = await client.call("get-sum", {"a": "one", "b": 2})
            assert failed["isError"] and "expected number" in failed["content"][0]["text"], failed
            assert text(await client.call("echo", {"message": "on"})) == "Echo: on"

    async def privacy(self) -> None:
        """Two clients of one mount have a process each and hear nothing of each other."""
        async with AsyncExitStack() as stack:
            ada = await stack.enter_async_context(self.connect("odd-jobs"))
            bob = await stack.enter_async_context(self.connect("odd-jobs"))
            assert text(await ada.call("pid")) != text(await bob.call("pid"))
            await self._count_at_once(ada, bob)
            await ada.call("grow", {"name": "new_tool"})
            await ada.inbox.until("notifications/tools/list_changed")
            assert "new_tool" not in [tool["name"] for tool in await bob.tools()]
            assert not bob.inbox.having("notifications/tools/list_changed")

    async def discretion(self) -> None:
        """Two clients who may well share a process hear what they asked for, and nothing of each other."""
        async with AsyncExitStack() as stack:
            ada = await stack.enter_async_context(self.connect("odd-jobs"))
            bob = await stack.enter_async_context(self.connect("odd-jobs"))
            await self._count_at_once(ada, bob)

            for client in (ada, bob):
                await client.set_level("debug")
            line = fresh()
            await ada.call("log", {"line": f"ada {line}"})
            await bob.call("log", {"line": f"bob {line}"})

            updated, uris = "notifications/resources/updated", [f"odd://ada/{line}", f"odd://bob/{line}"]
            for client, uri in zip((ada, bob), uris):
                await client.subscribe(uri)
            for client in (ada, bob):
                for uri in uris:
                    await client.call("touch", {"uri": uri})
            for client, own, other in ((ada, uris[0], uris[1]), (bob, uris[1], uris[0])):
                await client.inbox.until(updated, uri=own)
                assert not client.inbox.having(updated, uri=other), client.inbox.messages
            assert not any(f"bob {line}" in str(message) for message in ada.inbox.messages)
            assert not any(f"ada {line}" in str(message) for message in bob.inbox.messages)

    async def _count_at_once(self, ada, bob) -> None:
        heard: dict[str, list[float]] = {"ada": [], "bob": []}

        async def count(name: str, client, to: int) -> None:
            async def on_progress(progress: float, _total, _message) -> None:
                heard[name].append(progress)

            assert text(await client.call("count", {"to": to}, on_progress)) == f"counted to {to}"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count, "ada", ada, 50)
            tasks.start_soon(count, "bob", bob, 30)
        assert heard == {"ada": list(range(1, 51)), "bob": list(range(1, 31))}, heard

    async def time(self) -> None:
        async with self.connect("time") as client:
            assert "Europe/Berlin" in text(await client.call("get_current_time", {"timezone": "Europe/Berlin"}))
            wrong = await client.call("get_current_time", {"timezone": "Nowhere/Land"})
            assert wrong["isError"], wrong

    async def fetch(self) -> None:
        async with self.connect("fetch") as client:
            page = text(await client.call("fetch", {"url": os.environ["INTEROP_PAGE"]}))
            assert "switchboard of Zürich" in page, page
            assert [prompt["name"] for prompt in await client.prompts()] == ["fetch"]

    async def filesystem(self) -> None:
        file = Path(os.environ["INTEROP_DIRECTORY"]) / f"note-{os.getpid()}.txt"
        async with self.connect("filesystem") as client:
            await client.call("write_file", {"path": str(file), "content": "grüße\n"})
            assert file.read_text(encoding="utf-8") == "grüße\n"
            assert text(await client.call("read_text_file", {"path": str(file)})) == "grüße\n"
            outside = await client.call("read_text_file", {"path": "/etc/passwd"})
            assert outside["isError"], outside

    async def big(self) -> None:
        file = Path(os.environ["INTEROP_DIRECTORY"]) / "big.txt"
        async with self.connect("filesystem") as client:
            read = text(await client.call("read_text_file", {"path": str(file)})).encode()
            assert hashlib.sha256(read).digest() == hashlib.sha256(file.read_bytes()).digest(), len(read)


def main(connect) -> None:
    """Runs the scenarios named on the command line: TRANSPORT BASE SCENARIO...

    BASE is the router's address. With the transport `stdio` it is the router's configuration file
    and the servers are started directly: what fails there is not the router's fault.
    """
    warnings.simplefilter("ignore")
    transport, base, *names = sys.argv[1:]

    def target(mount: str) -> str | dict:
        if transport.startswith("stdio"):
            return json.loads(Path(base).read_text())["mcpServers"][mount]
        return f"{base}/{FOLDER}/{mount}/{'sse' if transport.startswith('sse') else 'mcp'}"

    scenarios = Scenarios(lambda mount, roots=False: connect(transport, target(mount), roots))
    failed = [name for name in names if not anyio.run(run, name, getattr(scenarios, name))]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


async def run(name: str, scenario) -> bool:
    began = time.monotonic()
    try:
        with anyio.fail_after(60):
            await scenario()
    except BaseException:
        print(f"FAILED {name} ({time.monotonic() - began:.2f} s)", flush=True)
        traceback.print_exc()
        return False
    print(f"ok {name} ({time.monotonic() - began:.2f} s)", flush=True)
    return True
