"""An MCP server that works with a token of its user's, and tells it to whoever asks.

The first argument says what it speaks: `legacy`, `modern` or `dual`. Tools: `token` answers with the token and the process's
id, `crash` ends the process, `mutter` says the token where it may end up in a log, `confirm` asks the user first. Each user
has a tool of his own, named after what his token begins with. With a token that begins with `bad` it does not start.
"""

import json
import os
import sys

SPEAKS = sys.argv[1]
TOKEN = os.environ.get("TOKEN", "none")
USER = TOKEN.split("-")[0]
ABOUT = {"name": "of " + TOKEN, "version": TOKEN}
SCHEMA = {"type": "object"}


def line(message):
    os.write(1, (json.dumps({"jsonrpc": "2.0", **message}) + "\n").encode())


def text(words, **more):
    return {"content": [{"type": "text", "text": words}], **more}


def common(modern):
    return {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"} if modern else {}


def main():
    if USER == "bad":
        os.write(2, ("no such token: %s\n" % TOKEN).encode())
        sys.exit(4)
    waiting = None
    for received in sys.stdin:
        message = json.loads(received)
        method, id, params = message.get("method"), message.get("id"), message.get("params") or {}
        modern = "io.modelcontextprotocol/protocolVersion" in params.get("_meta", {})
        if method is None and waiting is not None:
            line({"id": waiting, "result": text("confirmed by %s" % TOKEN)})
            waiting = None
        elif id is None or method is None:
            continue
        elif method == "initialize" and SPEAKS == "modern":
            data = {"supported": ["2026-07-28"], "requested": params["protocolVersion"]}
            line({"id": id, "error": {"code": -32022, "message": "only 2026-07-28", "data": data}})
        elif method == "initialize":
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": ABOUT}
            line({"id": id, "result": {**result, "instructions": "You are " + TOKEN}})
        elif modern and SPEAKS == "legacy":
            line({"id": id, "error": {"code": -32601, "message": "no such method, " + TOKEN}})
        elif method == "server/discover":
            said = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "instructions": "You are " + TOKEN}
            line({"id": id, "result": {**common(True), **said, "_meta": {"io.modelcontextprotocol/serverInfo": ABOUT}}})
        elif method == "tools/list":
            names = ["token", "crash", "mutter", "confirm", "of_" + USER]
            line({"id": id, "result": {**common(modern), "tools": [{"name": name, "inputSchema": SCHEMA} for name in names]}})
        elif method == "tools/call" and params["name"] == "crash":
            os.write(2, ("dying with %s\n" % TOKEN).encode())
            os._exit(3)
        elif method == "tools/call" and params["name"] == "mutter":
            os.write(2, ("muttered %s\n" % TOKEN).encode())
            os.write(1, ("no message: %s\n" % TOKEN).encode())
            line({"id": id, "result": text("muttered", **common(modern))})
        elif method == "tools/call" and params["name"] == "confirm":
            waiting = id
            asked = {"message": "Is it you?", "requestedSchema": {"type": "object", "properties": {}}}
            line({"id": "confirm", "method": "elicitation/create", "params": asked})
        elif method == "tools/call":
            line({"id": id, "result": text("%s %d" % (TOKEN, os.getpid()), **common(modern))})
        else:
            line({"id": id, "result": common(modern)})


main()
