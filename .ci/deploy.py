"""The files of deploy/ and docker/, as the tools read them that will, and their command lines, as the router does.

    deploy.py BINARY     BINARY: the router; run by the Python that has requirements-deploy.txt

Each check is made twice: the file must pass, and a copy with a mistake in it must not.
"""

import json
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
UNIT = "deploy/systemd/mcp-switchboard.service"
SOCKET = "deploy/systemd/mcp-switchboard.socket"
QUADLET = "deploy/quadlet/mcp-switchboard.container"
ALONE = "deploy/compose.yaml"
WITH_LITELLM = "docker/compose.yaml"
KUBERNETES = "deploy/kubernetes/mcp-switchboard.yaml"
CONFIGURATION = "/etc/mcp-switchboard"

# Calls in flight have 10 s, then a server 5 s to end by itself and 3 s after SIGTERM.
LADDER = 18

# How open `systemd-analyze security` may call the unit, of 100.
EXPOSURE = 20

# podman's own generator, where it is new enough to have one.
GENERATORS = [Path("/usr/libexec/podman/quadlet"), Path("/usr/lib/podman/quadlet")]

# Where it is not: keys of [Container] that podman has since 4.6.
KEYS = set(
    """AddCapability AddDevice Annotation AutoUpdate ContainerName DropCapability Environment EnvironmentFile EnvironmentHost
    Exec ExposeHostPort Group HealthCmd HealthInterval HealthOnFailure HealthRetries HealthStartPeriod HealthTimeout
    HostName Image IP IP6 Label LogDriver Mount Network NoNewPrivileges Notify PodmanArgs PublishPort Pull ReadOnly Rootfs
    RunInit SeccompProfile Secret SecurityLabelDisable SecurityLabelFileType SecurityLabelLevel SecurityLabelNested
    SecurityLabelType Sysctl Timezone Tmpfs User UserNS VolatileTmp Volume WorkingDir""".split()
)

Pairs = list[tuple[str, str]]


def run(*words: str | Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **more)


def sections(text: str) -> dict[str, Pairs]:
    """The sections of a file of systemd's form."""
    found: dict[str, Pairs] = {}
    current: Pairs = []
    for line in text.splitlines():
        if header := re.fullmatch(r"\[([\w-]+)\]", line):
            current = found.setdefault(header[1], [])
        elif line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            current.append((key.strip(), value.strip()))
    return found


def values(pairs: Pairs, wanted: str) -> list[str]:
    return [value for key, value in pairs if key == wanted]


def only(pairs: Pairs, wanted: str) -> str:
    found = values(pairs, wanted)
    return found[0] if len(found) == 1 else ""


def served(binary: Path, words: list[str], files: Path | dict[str, str], environment: dict[str, str], address: str) -> list[str]:
    """What the router says of a command line, with these files in place of the ones in /etc."""
    with tempfile.TemporaryDirectory() as folder:
        if isinstance(files, dict):
            for name, text in files.items():
                Path(folder, name).write_text(text, encoding="utf-8")
        else:
            folder = files
        words = [word.replace(CONFIGURATION, str(folder)) for word in words]
        done = run(binary, *words, "--check", env=environment)
    line = f"would listen on http://{address}\n"
    if done.returncode == 0 and not done.stderr and done.stdout.startswith(line):
        return []
    return [f"`{shlex.join(words)}` is not taken, or is not `{line.strip()}`: {done.stdout}{done.stderr}"]


def image_environment() -> dict[str, str]:
    """The address at which the image listens."""
    text = (ROOT / "docker/Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"\b(MCP_PROXY_\w+)=(\S+)", text))


def is_unit(text: str, name: str, binary: Path) -> list[str]:
    """systemd-analyze reads it and has nothing to say: an unknown key is only a line on stderr."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_text(text.replace("/usr/local/bin/mcp-switchboard", str(binary)), encoding="utf-8")
        verified = run("systemd-analyze", "verify", "--man=no", file)
        said = (verified.stdout + verified.stderr).strip()
        found = [f"systemd-analyze verify: {said}"] if said or verified.returncode != 0 else []
        if "DynamicUser" in text:
            judged = run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", file)
            if judged.returncode != 0:
                found.append(f"systemd-analyze security: {(judged.stdout.strip() or judged.stderr).splitlines()[-1]}")
    return found


def unit(text: str, binary: Path) -> list[str]:
    service = sections(text).get("Service", [])
    program, *words = shlex.split(only(service, "ExecStart")) or [""]
    found = is_unit(text, "mcp-switchboard.service", binary)
    if program != "/usr/local/bin/mcp-switchboard":
        found.append(f"ExecStart begins with {program!r}")
    found += served(binary, words, ROOT / "deploy/config", {}, "127.0.0.1:8080")
    found += lasting(only(service, "TimeoutStopSec"), "TimeoutStopSec")
    return found


def socket(text: str, binary: Path) -> list[str]:
    """The service must be beside it, or systemd-analyze knows nothing to start."""
    with tempfile.TemporaryDirectory() as folder:
        service = (ROOT / UNIT).read_text(encoding="utf-8").replace("/usr/local/bin/mcp-switchboard", str(binary))
        Path(folder, "mcp-switchboard.service").write_text(service, encoding="utf-8")
        file = Path(folder, "mcp-switchboard.socket")
        file.write_text(text, encoding="utf-8")
        verified = run("systemd-analyze", "verify", "--man=no", file)
    said = (verified.stdout + verified.stderr).strip()
    found = [f"systemd-analyze verify: {said}"] if said or verified.returncode != 0 else []
    parts = sections(text)
    addresses = values(parts.get("Socket", []), "ListenStream")
    if "127.0.0.1:8080" not in addresses:
        found.append("it does not listen where the service would")
    if any(not address.startswith(("127.0.0.1:", "/run/")) for address in addresses):
        found.append("it listens beyond this machine")
    if values(parts.get("Install", []), "WantedBy") != ["sockets.target"]:
        found.append("nothing starts it")
    return found


def lasting(seconds: str | int, what: str) -> list[str]:
    number = re.sub(r"s$", "", str(seconds))
    return [] if number.isdigit() and int(number) > LADDER else [f"{what} is not above the {LADDER} s that an orderly stop may take"]


def quadlet(text: str, binary: Path) -> list[str]:
    parts = sections(text)
    container, service = parts.get("Container", []), parts.get("Service", [])
    found = generated(text) if any(path.exists() for path in GENERATORS) else known(container)
    rest = "".join(
        f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in pairs)
        for name, pairs in parts.items()
        if name != "Container"
    )
    # The command is podman's to make; podman itself need not be here.
    rest = rest.replace("/usr/bin/podman", "/bin/true").replace("[Service]\n", "[Service]\nExecStart=/bin/true\n")
    found += is_unit(rest, "mcp-switchboard.service", binary)
    environment = image_environment()
    port = environment["MCP_PROXY_PORT"]
    found += served(binary, shlex.split(only(container, "Exec")), ROOT / "deploy/config", environment, f"0.0.0.0:{port}")
    if only(container, "PublishPort") != f"127.0.0.1:8080:{port}":
        found.append(f"PublishPort does not lead to {port}, where the image listens")
    stop = re.search(r"--stop-timeout=(\d+)", only(container, "PodmanArgs"))
    found += lasting(stop[1] if stop else "", "--stop-timeout")
    found += lasting(only(service, "TimeoutStopSec"), "TimeoutStopSec")
    return found


def generated(text: str) -> list[str]:
    generator = next(path for path in GENERATORS if path.exists())
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "mcp-switchboard.container").write_text(text, encoding="utf-8")
        done = run(generator, "-dryrun", env={"QUADLET_UNIT_DIRS": folder})
    is_made = done.returncode == 0 and "ExecStart=" in done.stdout and "nsupported key" not in done.stderr
    return [] if is_made else [f"{generator}: {done.stderr}"]


def known(container: Pairs) -> list[str]:
    found = [f"[Container] has the unknown key {key}" for key, _ in container if key not in KEYS]
    return found + ([] if only(container, "Image") else ["[Container] has no Image"])


def compose(text: str, binary: Path) -> list[str]:
    found = by_schema(text, "check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    service = yaml.safe_load(text)["services"]["mcp-switchboard"]
    environment = image_environment()
    port = environment["MCP_PROXY_PORT"]
    found += served(binary, service["command"], ROOT / "deploy/config", environment, f"0.0.0.0:{port}")
    if service["ports"] != [f"127.0.0.1:8080:{port}"]:
        found.append(f"its ports do not lead to {port}, where the image listens")
    return found + lasting(service["stop_grace_period"], "stop_grace_period")


def kubernetes(text: str, binary: Path) -> list[str]:
    found = by_schema(text, "kubernetes-validate", "--strict", "--quiet")
    by_kind = {document["kind"]: document for document in yaml.safe_load_all(text)}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    (port,) = container["ports"]
    address = f"0.0.0.0:{port['containerPort']}"
    found += served(binary, container["args"], by_kind["ConfigMap"]["data"], environment, address)
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    wanted = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    for name, probe in probes.items():
        if probe != {"path": wanted[name], "port": port["name"]}:
            found.append(f"the {name} does not ask {wanted[name]} at {port['name']}")
    (offered,) = by_kind["Service"]["spec"]["ports"]
    if offered["targetPort"] != port["name"]:
        found.append("the service leads to no port of the pod")
    labels = by_kind["Deployment"]["spec"]["template"]["metadata"]["labels"]
    if not by_kind["Service"]["spec"]["selector"].items() <= labels.items():
        found.append("the service selects no pod")
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    return found + lasting(pod["terminationGracePeriodSeconds"] - pause, "terminationGracePeriodSeconds less preStop")


def by_schema(text: str, tool: str, *options: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file.yaml")
        file.write_text(text, encoding="utf-8")
        done = run(Path(sys.executable).parent / tool, *options, file)
    return [] if done.returncode == 0 else [f"{tool}: {done.stdout}{done.stderr}"]


# Each file, its check, and mistakes that the check must find.
CHECKS: list[tuple[str, Callable[[str, Path], list[str]], list[tuple[str, str]]]] = [
    (
        UNIT,
        unit,
        [
            ("ProtectClock=", "ProtectClok="),
            ("NoNewPrivileges=yes\n", "NoNewPrivileges=perhaps\n"),
            ("--named-server-config", "--named-server-file"),
            ("--port 8080", "--port 80 80"),
            ("TimeoutStopSec=30", "TimeoutStopSec=10"),
            ("SystemCallFilter=@system-service\n", ""),
        ],
    ),
    (
        SOCKET,
        socket,
        [
            ("ListenStream=127.0.0.1:8080", "ListenStraem=127.0.0.1:8080"),
            ("127.0.0.1:8080", "127.0.0.1:80"),
            ("ListenStream=127.0.0.1:8080", "ListenStream=8080"),
            ("SocketMode=0660", "SocketMode=rw"),
            ("WantedBy=sockets.target", "WantedBy=multi-user.target"),
        ],
    ),
    (
        QUADLET,
        quadlet,
        [
            ("HealthCmd=", "HealthComand="),
            ("RestartSec=", "RestartSecs="),
            ("Exec=--named-server-config", "Exec=--named-server-file"),
            ("8080:8080", "8080:80"),
            ("--stop-timeout=30", "--stop-timeout=5"),
        ],
    ),
    (
        ALONE,
        compose,
        [("cap_drop:", "cap_dorp:"), ("--named-server-config", "--named"), ("8080:8080", "8080:80"), ("period: 30s", "period: 3s")],
    ),
    (WITH_LITELLM, compose, [("stop_grace_period:", "stop_grace:"), ("servers.json", "server.json")]),
    (
        KUBERNETES,
        kubernetes,
        [
            ("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
            ("servers.json: |", "server.json: |"),
            ('"mcpServers"', '"mcpServer"'),
            ("/readyz", "/ready"),
            ("targetPort: http", "targetPort: web"),
            ("containerPort: 8080", "containerPort: 80"),
            ("Seconds: 45", "Seconds: 15"),
        ],
    ),
]


def attempt(check: Callable[[str, Path], list[str]], text: str, binary: Path) -> list[str]:
    try:
        return check(text, binary)
    except (KeyError, ValueError, TypeError) as error:
        return [f"it has not the form that is expected: {error!r}"]


def main() -> int:
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    binary = Path(sys.argv[1]).resolve()
    problems = 0
    for name, check, mistakes in CHECKS:
        text = (ROOT / name).read_text(encoding="utf-8")
        found = attempt(check, text, binary)
        for right, wrong in mistakes:
            if right not in text:
                found.append(f"{right!r}, which a broken copy should not have, is not there")
            elif not attempt(check, text.replace(right, wrong), binary):
                found.append(f"a copy with {wrong!r} in place of {right!r} passes")
        for problem in found:
            print(f"{name}: {problem}", file=sys.stderr)
        print(f"{name}: {'has problems' if found else f'as it should be, and {len(mistakes)} broken copies are refused'}")
        problems += len(found)
    if not any(path.exists() for path in GENERATORS):
        print("podman's generator is not here: the keys of the Quadlet file were compared with a list")
    same = [json.loads((ROOT / folder / "servers.json").read_text(encoding="utf-8")) for folder in ("deploy/config", "docker/config")]
    if same[0] != same[1]:
        print("deploy/config/servers.json is not what docker/config/servers.json is", file=sys.stderr)
        problems += 1
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
