"""SECURITY.md against the tests: each promise names tests that there are."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

# A file, and the tests in it: `tests/guarded.rs`: `one`, `another`
NAMED = re.compile(r"`((?:tests|src)/[\w/]+\.rs)`: ((?:`\w+`(?:, )?)+)")


def promises() -> list[tuple[str, str]]:
    part = TEXT.split("\n## What is promised\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| (.*) \|$", part, re.MULTILINE)
    return [row for row in rows if row != ("promise", "kept by")]


def tests_of(file: str) -> set[str]:
    path = ROOT / file
    if not path.exists():
        return set()
    found = re.findall(r"#\[(?:tokio::)?test\b[^\n]*\n(?:\s*#\[[^\n]*\n)*\s*(?:async )?fn (\w+)", path.read_text(encoding="utf-8"))
    return set(found)


def problems() -> list[str]:
    found = []
    for promise, kept_by in promises():
        named = NAMED.findall(kept_by)
        if not named:
            found.append(f"no test keeps the promise {promise!r}")
        for file, names in named:
            there = tests_of(file)
            missing = [name for name in re.findall(r"`(\w+)`", names) if name not in there]
            found += [f"{file} has no test {name}" for name in missing]
    return found


found = problems() if promises() else ["it promises nothing"]
print("\n".join(f"SECURITY.md: {problem}" for problem in found) or "SECURITY.md: every promise has its tests")
sys.exit(bool(found))
