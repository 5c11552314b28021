#!/usr/bin/env python3
"""Fails on an #include that the table in src/README.md does not allow.

Also fails on a third-party header under include/, on torch/torch.h in a header, and on an option
header that needs more than the standard library, ibot/base and other option headers.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TORCH = ("torch/", "ATen/", "c10/")


def read_table(path):
    """Room -> rooms that it may include."""
    table = {}
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")][1:-1]
        if len(cells) == 4 and re.fullmatch(r"[a-z]+", cells[0]) and cells[0] != "room":
            table[cells[0]] = set(cells[3].split())
    return table


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def edge_problem(table, room, target):
    """What is wrong with a file of `room` including `target`, ROOM/FILE of include/ibot/ or src/."""
    other = target.split("/")[0]
    if room not in table:
        return f"room {room} is missing from the table of src/README.md"
    if other == room or other in table[room]:
        return None
    if "options" in table[room] and target.endswith("_options.h"):
        return None
    allowed = " ".join(sorted(table[room])) or "nothing"
    return f"{room} may include {allowed}, not {target}"


def header_problem(target, quote):
    """What is wrong with a header below include/ naming `target`."""
    if target == "torch/torch.h":
        return "torch/torch.h costs every includer half a minute; name the part that is needed"
    if quote == "<" and not target.startswith(TORCH) and not re.fullmatch(r"[a-z0-9_]+", target):
        return f"third-party header {target}; keep it in a source file"
    return None


def check_file(table, path, room, public):
    for number, quote, target in includes(path):
        problems = []
        if quote == '"' and "/" in target:
            problems.append(edge_problem(table, room, target.removeprefix("ibot/")))
            if path.name.endswith("_options.h") and not (
                    target.startswith("ibot/base/") or target.endswith("_options.h")):
                problems.append("an option header may include ibot/base and option headers, "
                                f"not {target}")
        if public:
            problems.append(header_problem(target, quote))
        for problem in filter(None, problems):
            yield f"{path}:{number}: {problem}"


def check_tree(root):
    table = read_table(root / "src" / "README.md")
    if not table:
        return [f"{root}/src/README.md: expected a table of rooms, found none"]
    problems = []
    for top in (root / "include" / "ibot", root / "src"):
        for path in sorted(top.rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu") and path.parent != top:
                room = path.relative_to(top).parts[0]
                problems += check_file(table, path, room, top.name == "ibot")
    return problems


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    problems = check_tree(root)
    print("\n".join(problems) if problems else "layers: every include is allowed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
