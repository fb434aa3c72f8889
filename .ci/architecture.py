"""What ARCHITECTURE.md says about the tree, against the tree.

Every path that it names in backquotes must exist, every entry of `src` must be named, and no folder may use one that
stands to its right in the line of layers.
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


def layers() -> list[str]:
    line = re.search(r"^    (\w+(?: <- \w+)+)$", TEXT, re.MULTILINE)
    if not line:
        return ["it has no line of layers"]
    order = line[1].split(" <- ")
    # What stands beside the line, and what it may use; everything else is named in it.
    allowed = {"config": [], "demo_server": ["wire"], "healthcheck": [], "lib": None}
    for place, layer in enumerate(order):
        aside = ["config"] if place >= order.index("peer") else []
        tasks = ["demo_server", "healthcheck"] if layer == "cli" else []
        allowed[layer] = order[:place] + aside + tasks
    found = []
    for file in sorted(SOURCE.rglob("*.rs")):
        part = file.relative_to(SOURCE).parts[0].removesuffix(".rs")
        if part not in allowed:
            found.append(f"src/{part} has no place among the layers")
            continue
        code = re.sub(r"^\s*//.*$", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        used = set(re.findall(r"\bcrate::(\w+)", code))
        for group in re.findall(r"\bcrate::\{([^;]*)\};", code):
            used |= {word for word in re.findall(r"\w+", group) if (SOURCE / word).exists() or (SOURCE / f"{word}.rs").exists()}
        used -= {part}
        for other in sorted(used):
            if allowed[part] is not None and other not in allowed[part]:
                found.append(f"{file.relative_to(ROOT)} uses `{other}`, which is not to the left of `{part}`")
    return found


if __name__ == "__main__":
    problems = names() + layers()
    for problem in problems:
        print(f"ARCHITECTURE.md: {problem}", file=sys.stderr)
    if not problems:
        print("ARCHITECTURE.md: names and layers as they should be")
    sys.exit(1 if problems else 0)
