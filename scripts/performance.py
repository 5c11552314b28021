#!/usr/bin/env python3
"""Measures, and writes docs/performance.md from what was measured.

    scripts/performance.py measure GROUP... [--official DIR] [--data PHOTOS] [--rounds 5] [--quick]
                           [--records DIR]
    scripts/performance.py write [--records DIR] [--document FILE]

Groups: step memory ops kernels profile networks stages data knn threads growth listing. Each leaves GROUP.json in
the folder of records, docs/performance; --quick, which only shows that all runs, in another folder.
`write` fills docs/performance/template.md; what no record is of is left out. The check.json that
scripts/gpu_check.sh leaves becomes the document's part on a GPU as gpu.json among the records.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from bench import groups, tables, turns

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDS = ROOT / "docs" / "performance"


# ---- Measuring ----


def placeholders(options):
    """This machine's folders, by what the document calls them."""
    named = {options.scratch: "SCRATCH", options.official: "OFFICIAL", options.data: "PHOTOS", options.bench: "ibot-bench",
             sys.executable: "python3", ROOT / "scripts": "scripts"}
    return sorted(((str(path), name) for path, name in named.items() if path), key=lambda pair: -len(pair[0]))


def without_folders(text, options):
    for path, name in placeholders(options):
        text = text.replace(path, name)
    return text


def take(label, command, options):
    """Runs a command and returns its record; None where it failed, which is told."""
    file = options.scratch / "record.json"
    file.unlink(missing_ok=True)
    command = [str(part) for part in command] + ["--json", str(file)]
    print(f"-- {label}: {without_folders(' '.join(command[:-2]), options)}", flush=True)
    # coreutils' timeout ends the commands that a command has started as well.
    done = subprocess.run(["timeout", "--kill-after=5", str(options.limit), *command], capture_output=True, text=True)
    if done.returncode != 0:
        late = f"took more than {options.limit:.0f} s"
        reason = late if done.returncode in (124, 137) else (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"   left out: {reason}", flush=True)
        return None
    # A first call that only draws its input has nothing to tell.
    text = without_folders(file.read_text(), options) if file.exists() else '{"cases": []}'
    return {"label": label, "record": json.loads(text)}


def command_of(group, options):
    words = ["scripts/performance.py measure", group]
    words += ["--official OFFICIAL"] if group in groups.NEEDS_OFFICIAL else []
    words += ["--data PHOTOS"] if group in groups.NEEDS_DATA else []
    words += [f"--rounds {options.rounds}"] if group in groups.NEEDS_OFFICIAL and options.rounds != 5 else []
    return " ".join(words + (["--quick"] if options.quick else []))


def measure(options):
    commands = groups.Commands(options, ROOT / "scripts" / "bench_reference.py")
    version = turns.run([options.bench, "--version"], 1).strip()
    for group in options.groups:
        taken = [take(label, command, options) for label, command in getattr(commands, group)()]
        runs = [run for run in taken if run]
        if not runs:
            print(f"error: {group}: nothing could be measured", file=sys.stderr)
            continue
        record = {"group": group, "command": command_of(group, options), "date": turns.today(),
                  "machine": turns.machine(), "version": version, "quick": options.quick, "runs": runs}
        (options.records / f"{group}.json").write_text(json.dumps(record, indent=1) + "\n")
        print(tables.TABLES[group](record), flush=True)


def check_measure(options):
    if not options.bench.is_file():
        turns.fail(f"{options.bench}: expected ibot-bench; build it or name it with --bench")
    for name, needing in (("official", groups.NEEDS_OFFICIAL), ("data", groups.NEEDS_DATA)):
        wanting = [group for group in options.groups if group in needing]
        folder = getattr(options, name)
        if wanting and folder is None:
            turns.fail(f"{', '.join(wanting)}: expected --{name} DIR")
        if folder and not folder.is_dir():
            turns.fail(f"{folder}: expected a folder, found none")
    if options.quick and options.records == RECORDS:
        turns.fail("--quick: expected --records DIR, for quick figures are none of record")
    options.records.mkdir(parents=True, exist_ok=True)


# ---- Writing ----


def section(group, body, records, plots):
    """A part of the template for one group, filled."""
    file = records / f"{group}.json"
    record = json.loads(file.read_text())
    plots.mkdir(exist_ok=True)
    for name, content in tables.PLOTS.get(group, lambda _: ())(record):
        (plots / name).write_text(content)
    machine = record.get("machine") or record["facts"]
    command = record.get("command", "scripts/gpu_check.sh --official OFFICIAL OUT")
    source = (f"`{command}`, {record['date']}, {machine.get('gpu', machine['processor'])}, "
              f"{machine['processors']} processors, {record['version']}")
    return body.replace("{{table}}", tables.TABLES[group](record)).replace("{{source}}", source)


def write(options):
    template = (options.template or options.records / "template.md").read_text()
    plots = options.document.parent / "performance"

    def filled(match):
        kind, group, body = match.groups()
        recorded = (options.records / f"{group}.json").is_file()
        if recorded != (kind == "#"):
            return ""
        return section(group, body, options.records, plots) if recorded else body

    text = re.sub(r"\{\{([#^])(\w+)\}\}\n(.*?)\{\{/\2\}\}\n", filled, template, flags=re.DOTALL)
    text = re.sub(r"\n{3,}", "\n\n", text)
    options.document.write_text(text)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    measuring = commands.add_parser("measure", help="run the commands of some groups")
    measuring.add_argument("groups", nargs="+", choices=groups.GROUPS, metavar="GROUP")
    measuring.add_argument("--official", type=pathlib.Path, help="checkout of bytedance/ibot")
    measuring.add_argument("--data", type=pathlib.Path, help="folder of photos")
    measuring.add_argument("--bench", type=pathlib.Path, default=ROOT / "bin/ibot-bench")
    measuring.add_argument("--rounds", type=int, default=5, help="at most so many of ours and another's in turn")
    measuring.add_argument("--quick", action="store_true", help="as little as shows that all runs")
    measuring.add_argument("--limit", type=float, default=3600, help="seconds that one command may take")
    measuring.set_defaults(run=measure, check=check_measure)
    writing = commands.add_parser("write", help="write the document from the records")
    writing.add_argument("--document", type=pathlib.Path, default=ROOT / "docs" / "performance.md")
    writing.add_argument("--template", type=pathlib.Path, help="default: template.md of the records")
    writing.set_defaults(run=write, check=lambda _: None)
    for command in (measuring, writing):
        command.add_argument("--records", type=pathlib.Path, default=RECORDS)
    return parser.parse_args()


def main():
    options = parse()
    options.check(options)
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = pathlib.Path(scratch)
        options.run(options)


if __name__ == "__main__":
    main()
