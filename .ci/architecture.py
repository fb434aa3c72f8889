"""What ARCHITECTURE.md says about the tree, against the tree.

Every path that it names in backquotes must exist, and every entry of `src` must be named. The direction of the layers
is held by `tests/layers.rs`.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def names() -> list[str]:
    found = []
    named = set(re.findall(r"`([^`\n]+)`", TEXT))
    for name in sorted(named):
        is_path = re.fullmatch(r"\.?[\w-]+(/[\w.-]+)*(/|\.rs|\.py|\.md)", name)
        if is_path and not any((base / name).exists() for base in (SOURCE, ROOT)):
            found.append(f"it names `{name}`, which does not exist")
    for entry in sorted(SOURCE.iterdir()):
        name = entry.name + "/" if entry.is_dir() else entry.name
        if name not in named:
            found.append(f"it does not name `{name}`, which is in src")
    return found


if __name__ == "__main__":
    problems = names()
    for problem in problems:
        print(f"ARCHITECTURE.md: {problem}", file=sys.stderr)
    if not problems:
        print("ARCHITECTURE.md: names as they should be")
    sys.exit(1 if problems else 0)
