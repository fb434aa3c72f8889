"""LiteLLM as a client: `litellm_client.py URL_SSE URL_MCP`, both URLs of a mounted demo server.

Starts LiteLLM's own proxy with the two URLs as its MCP servers, has it list their tools and call `echo` and `add`,
and prints one line `ok TRANSPORT` for each. Exits 0 if both are well. Needs requirements-litellm.txt.
"""

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

START_SECONDS = 180
REQUEST_SECONDS = 60

# The proxy is on this machine, whatever HTTP_PROXY says.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LiteLlm:
    """A LiteLLM proxy, from its first answer until the end of the `with` block."""

    def __init__(self, servers: dict, directory: Path):
        self.key = "sk-" + secrets.token_hex(16)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = directory / "litellm.log"
        # JSON is YAML.
        config = directory / "config.yaml"
        config.write_text(json.dumps({"mcp_servers": servers}))
        command = [
            Path(sys.executable).with_name("litellm"), "--config", config,
            "--host", "127.0.0.1", "--port", self.url.rsplit(":", 1)[1], "--telemetry", "False",
        ]
        environment = os.environ | {
            "LITELLM_MASTER_KEY": self.key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it is fetched from the network
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        environment.pop("DATABASE_URL", None)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def __enter__(self):
        try:
            self.await_start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if error is not None:
            print(self.log.read_text(errors="replace")[-8000:], file=sys.stderr)

    def await_start(self):
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"litellm ended with {self.process.returncode}:\n{self.log.read_text()[-8000:]}")
            try:
                return self.request("/health/readiness")
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def request(self, path: str, body=None):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        try:
            with DIRECT.open(request, timeout=REQUEST_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read().decode(errors='replace')}") from None

    def tools(self, server: str) -> set:
        listed = self.request(f"/mcp-rest/tools/list?server_id={server}")
        assert not listed["error"], listed
        return {tool["name"] for tool in listed["tools"]}

    def call(self, server: str, tool: str, arguments: dict) -> dict:
        result = self.request("/mcp-rest/tools/call", {"server_id": server, "name": tool, "arguments": arguments})
        assert not result["isError"], result
        return result

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def check(proxy: LiteLlm, server: str):
    tools = proxy.tools(server)
    assert {"echo", "add"} <= tools, tools
    said = proxy.call(server, "echo", {"text": "häl\n\"lo"})
    assert said["content"][0]["text"] == "häl\n\"lo", said
    # Each REST call of LiteLLM is a session of its own: several show that sessions come and go.
    for number in range(5):
        total = proxy.call(server, "add", {"a": number, "b": 2})
        assert total["structuredContent"]["sum"] == number + 2, total


def main(sse: str, mcp: str):
    urls = {"sse": sse, "http": mcp}
    servers = {
        f"over_{transport}": {
            "server_id": f"over_{transport}", "url": url, "transport": transport, "allow_all_keys": True,
        }
        for transport, url in urls.items()
    }
    with tempfile.TemporaryDirectory() as directory, LiteLlm(servers, Path(directory)) as proxy:
        for transport in urls:
            check(proxy, f"over_{transport}")
            print(f"ok {transport}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
