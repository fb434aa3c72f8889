"""An MCP server that says what a message tells it to say, so that a story can misbehave to the letter.

The params of a message, or the arguments of a call, may tell it, and are followed in this order:

    say: [line, ...]   writes each line as it is
    mutter: text       writes it without ending the line
    fill: [id, bytes]  answers request `id` with that much text
    nest: [id, levels] answers request `id` with nested arrays
    flood: number      writes that many log messages
    close_stdout: true closes stdout and lives on
    deaf: true         reads no more, until stdin is closed
    answer: result     answers the message itself, whatever its id has become on the way
    exit: status       exits
    recall: true       answers with every line that came so far, if it is told nothing else

A request that is told nothing is answered: `received` with every line that came so far, anything else
with an empty result. The first argument, if there is one, is JSON that is followed before anything is read.

A puppet speaks the legacy era. With `modern: true` in that first argument it speaks 2026-07-28 alone, with
`modern: "shy"` the same, but it refuses `initialize` as an unknown method; its subscriptions last until they are cancelled.
With `modern: "dual"` it speaks both, and is particular about an `initialize` that does not say whose it is. The methods in
`refuse` it does not know, the capabilities in `without` a puppet of the legacy era does not declare. With `tools: path` its tools
are what stands in that file whenever it is asked.
"""

import json
import os
import select
import sys

CAPABILITIES = {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}}

REGION = {"type": "string", "x-mcp-header": "Region"}
TOOLS = [{"name": "query", "inputSchema": {"type": "object", "properties": {"region": REGION}}}]

ORDERS = {"say", "mutter", "fill", "nest", "flood", "answer", "close_stdout", "deaf", "exit"}


FIRST = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}


def write(text):
    data = text.encode("utf-8", "surrogatepass")
    while data:
        data = data[os.write(1, data) :]


def line(message):
    write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")


def obey(told, message):
    for text in told.get("say", []):
        write(text + "\n")
    if "mutter" in told:
        write(told["mutter"])
    if "fill" in told:
        id, size = told["fill"]
        line({"id": id, "result": {"text": "x" * size}})
    if "nest" in told:
        id, levels = told["nest"]
        write('{"jsonrpc":"2.0","id":%s,"result":{"deep":%s}}\n' % (json.dumps(id), "[" * levels + "]" * levels))
    for number in range(told.get("flood", 0)):
        line({"method": "notifications/message", "params": {"level": "info", "data": number}})
    if "answer" in told:
        line({"id": message["id"], "result": told["answer"]})
    if told.get("close_stdout"):
        os.close(1)
    if told.get("deaf"):
        closed = select.poll()
        closed.register(0, 0)
        closed.poll()
        sys.exit()
    if "exit" in told:
        os._exit(told["exit"])


def refuse(message, code, text, **data):
    error = {"code": code, "message": text} | ({"data": data} if data else {})
    line({"id": message["id"], "error": error})


def tools():
    path = FIRST.get("tools")
    if not path:
        return TOOLS
    with open(path) as file:
        return json.load(file)


def answer_modern(message, received, how):
    method, id = message["method"], message["id"]
    if method == "initialize":
        if how == "dual" and "clientInfo" in message["params"]:
            return line({"id": id, "result": answer(message, received)})
        if how == "dual":
            return refuse(message, -32602, "clientInfo is missing")
        if how == "shy":
            return refuse(message, -32601, "no such method")
        return refuse(message, -32022, "only 2026-07-28", supported=["2026-07-28"], requested="?")
    if method == "subscriptions/listen":
        key = "io.modelcontextprotocol/subscriptionId"
        params = {"_meta": {key: id}, "notifications": message["params"]["notifications"]}
        return line({"method": "notifications/subscriptions/acknowledged", "params": params})
    result = {"resultType": "complete"}
    if method == "server/discover":
        capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}, "logging": {}}
        result |= {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, "ttlMs": 0, "cacheScope": "private"}
    elif method == "tools/list":
        result |= {"tools": tools(), "ttlMs": 0, "cacheScope": "private"}
    elif method == "received":
        result |= {"lines": received}
    line({"id": id, "result": result})


def answer(message, received):
    if message["method"] == "tools/list":
        return {"tools": tools()}
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        return {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": {"name": "puppet", "version": "1"}}
    return {"lines": received} if message["method"] == "received" else {}


def main():
    first = FIRST
    for capability in first.get("without", []):
        CAPABILITIES.pop(capability)
    obey(first, {})
    received = []
    for text in sys.stdin.buffer:
        text = text.decode("utf-8", "surrogatepass").rstrip("\n")
        received.append(text)
        message = json.loads(text)
        if not isinstance(message, dict):
            continue
        params = message.get("params") or {}
        told = params.get("arguments", params)
        if isinstance(told, dict) and ORDERS & told.keys():
            obey(told, message)
        elif isinstance(told, dict) and told.get("recall"):
            line({"id": message["id"], "result": {"content": [], "lines": received}})
        elif message.get("method") in first.get("refuse", []):
            refuse(message, -32601, "no such method")
        elif "method" in message and "id" in message and first.get("modern"):
            answer_modern(message, received, first["modern"])
        elif "method" in message and "id" in message:
            line({"id": message["id"], "result": answer(message, received)})


main()
