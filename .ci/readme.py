"""README.md against the program: what it says is there is there, and what it shows happens.

    readme.py test-command      print the command of the section "Tests"
    readme.py options HELP      every option in HELP (the output of `--help`) stands in the README, and no other
    readme.py keys BINARY       every key of the configuration and every error code; the example file has no odd key
    readme.py links             every link inside the repository leads somewhere
    readme.py first-steps BINARY   run the first command and every line of "First steps", and compare what they print
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# Where a line of the README may wait for a server that is still starting, in seconds.
PATIENCE = 120


def section(title: str) -> str:
    match = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    if not match:
        raise SystemExit(f"README.md has no section {title!r}")
    return match[1]


def blocks(text: str, *languages: str) -> list[tuple[str, str]]:
    return [(kind, body) for kind, body in BLOCK.findall(text) if not languages or kind in languages]


def in_code(text: str) -> str:
    """What stands in backquotes or in a block."""
    return "\n".join(body for _, body in blocks(text)) + "\n".join(re.findall(r"`([^`\n]+)`", text))


def test_command() -> None:
    print(blocks(section("Tests"), "sh")[0][1].splitlines()[0])


def options(help_file: str) -> list[str]:
    shown = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", Path(help_file).read_text(encoding="utf-8")))
    # What stands in the help's own examples after `--` belongs to another program.
    shown -= {"--local-timezone"}
    table = section("Options")
    named = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", in_code(table)))
    missing = [f"the option {option} is not in the section Options" for option in sorted(shown - named)]
    hidden = {"--sse-host", "--sse-port", "--log"} | {f"--no-{name}" for name in ("pass-environment", "stateless", "debug")}
    unknown = sorted(named - shown - hidden)
    return missing + [f"the section Options names {option}, which the help does not" for option in unknown]


def keys(binary: str) -> list[str]:
    titles = ["Configuration file", "Limits", "All servers together", "Who may call"]
    described = [section(title) for title in titles]
    text = "".join(map(in_code, described))
    found = []
    for source in sorted((ROOT / "src/config").glob("*.rs")):
        code = source.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        read = re.findall(r'members\s*\.(?:get|protecting)\("([$\w]+)"\)', code) + re.findall(r'\("(\w+)", &mut limits', code)
        found += [f"the key {key} of {source.name} is not described" for key in read if not re.search(rf"\b{re.escape(key.lstrip('$'))}\b", text)]
    codes = re.findall(r"Self::\w+ => (-\d{5})", (ROOT / "src/wire/error.rs").read_text(encoding="utf-8"))
    found += [f"the error code {code} is not described" for code in codes if code not in README]
    for _, example in blocks("".join(described), "json"):
        found += checked(binary, example)
    return found


def checked(binary: str, example: str) -> list[str]:
    json.loads(example)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "servers.json")
        file.write_text(example, encoding="utf-8")
        (Path(folder) / ".env").write_text("API_KEY=x\n", encoding="utf-8")
        done = subprocess.run(
            [binary, "--check", "--named-server-config", file], capture_output=True, text=True, check=False
        )
    print(done.stdout, end="")
    if done.returncode == 0 and not done.stderr:
        return []
    return [f"an example of the configuration file is not taken: {done.stderr or done.stdout}"]


def links() -> list[str]:
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", README), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    found = []
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#") and target[1:] not in anchors:
            found.append(f"the link {target} leads to no section")
        elif not re.match(r"#|https?:", target) and not (ROOT / target).exists():
            found.append(f"the link {target} leads to no file")
    return found


def first_steps(binary: str) -> list[str]:
    (_, start), *steps = blocks(section("First steps"))
    words = start.split()
    if words[:4] != ["cargo", "run", "--release", "--"]:
        return ["the section First steps does not begin with `cargo run --release -- ...`"]
    words = ["0" if word == "8080" else word for word in words[4:]]
    with tempfile.TemporaryFile() as log, subprocess.Popen(
        [binary, *words], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
    ) as router:
        try:
            address = router.stdout.readline().removeprefix("listening on http://").strip()
            found = walk(steps, address)
        finally:
            router.terminate()
            ended = router.wait(timeout=60)
        if ended != 0:
            found.append(f"after SIGTERM the router ended with {ended}")
        if found:
            log.seek(0)
            sys.stderr.write(log.read().decode(errors="replace"))
    return found


def walk(steps: list[tuple[str, str]], address: str) -> list[str]:
    """Runs the `sh` blocks one after the other in one shell; the block behind each is what it should print."""
    mark = "-- the end of a step --"
    scripts = [body for kind, body in steps if kind == "sh"]
    wanted = [
        "" if number + 1 == len(steps) or steps[number + 1][0] == "sh" else steps[number + 1][1]
        for number, (kind, _) in enumerate(steps)
        if kind == "sh"
    ]
    script = f"\necho '{mark}'\n".join(scripts).replace("localhost:8080", address)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode != 0:
        return [f"a line of First steps failed with {done.returncode}: {done.stdout}{done.stderr}"]
    found = []
    for script, expected, printed in zip(scripts, wanted, done.stdout.split(mark), strict=True):
        pattern = ".*?".join(re.escape(re.sub(r"\s", "", part)) for part in expected.split("…"))
        if not re.fullmatch(pattern, re.sub(r"\s", "", printed), re.DOTALL):
            found.append(f"this does not print what the README shows:\n{script}\nit prints:\n{printed}")
    return found


def main() -> int:
    match sys.argv[1:]:
        case ["test-command"]:
            test_command()
            return 0
        case ["options", help_file]:
            problems = options(help_file)
        case ["keys", binary]:
            problems = keys(binary)
        case ["links"]:
            problems = links()
        case ["first-steps", binary]:
            problems = first_steps(binary)
        case _:
            raise SystemExit(__doc__)
    for problem in problems:
        print(f"README.md: {problem}", file=sys.stderr)
    if not problems:
        print(f"README.md: {sys.argv[1]} as they should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
