#!/usr/bin/env python3
"""Gathers what scripts/gpu_check.sh left in a folder into check.json and check.md. argv: OUT"""

import json
import os
import pathlib
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bench import tables, turns  # noqa: E402

EARLY = 20  # steps before rounding errors have grown


def loaded(file):
    """A record; None where the step left none, or half of one."""
    try:
        return json.loads(file.read_text())
    except (OSError, json.JSONDecodeError):
        return None


def records(out, prefix):
    found = {file.stem: loaded(file) for file in sorted(out.glob(prefix + "*.json"))}
    return {name: record for name, record in found.items() if record}


def steps_of(out):
    rows = [line.split("\t") for line in (out / "steps.tsv").read_text().splitlines()]
    return [{"step": name, "seconds": int(seconds), "result": result} for name, seconds, result in rows]


def case(record, name):
    return next(c for c in record["cases"] if c["case"] == name)


def speed(out, official):
    """Each step with its ratios to matrix products alone and to the official code's best batch."""
    rows = []
    for name, record in records(out, "step_").items():
        step, products = case(record, "step"), case(record, "products")
        arch, precision, batch, *recomputed = name.removeprefix("step_").rsplit("_", 3 if "recomputed" in name else 2)
        best = official.get(arch)
        rows.append({"arch": arch, "precision": precision, "batch": int(batch), "recomputed": bool(recomputed),
                     "images_per_s": step["images_per_s"], "tflops_per_s": step["flops_per_s"] / 1e12,
                     "of_products": step["flops_per_s"] / products["flops_per_s"],
                     "peak_gib": step["peak_memory_bytes"] / 2.0**30,
                     "of_official_best": step["images_per_s"] / best if best else None})
    return sorted(rows, key=lambda r: (r["arch"], r["precision"], r["recomputed"], r["batch"]))


def comparisons(out):
    found = [record["comparisons"][0] for record in records(out, "official_").values()]
    return [{**{key: c[key] for key in ("arch", "batch", "precision", "peer_precision", "compile")},
             "official": tables.median_of(c, 0), "ours": tables.median_of(c, 1), "ratio": c["ratio"]["median"],
             "memory_ratio": tables.peak(c, "ours") / tables.peak(c, "peer")} for c in found]


def curves(out):
    """How far each curve is from the CPU's in float32: the mean difference, relative to the loss."""
    found = records(out, "curve_")
    reference = found.pop("curve_reference", None)
    if not reference:
        return []
    expected = case(reference, "curve")["losses"]

    def away(losses):
        return statistics.mean(abs(a - b) / abs(b) for a, b in zip(losses, expected))

    rows = []
    for name, record in found.items():
        losses = case(record, "curve")["losses"]
        rows.append({"precision": name.removeprefix("curve_"), "steps": len(losses),
                     "first_steps_away": away(losses[:EARLY]), "away": away(losses), "last_loss": losses[-1],
                     "expected_last_loss": expected[-1]})
    return rows


def evaluation(out):
    names = ("features", "fine_tune", "knn")
    found = [(name, loaded(out / f"{name}.json")) for name in names]
    cases = [record["cases"][0] for _, record in found if record]
    return [{"case": c["case"], "images_per_s": c["images_per_s"], "tflops_per_s": c.get("flops_per_s", 0.0) / 1e12}
            for c in cases]


def profile(out):
    record = loaded(out / "profile.json")
    if not record:
        return []
    whole = case(record, "profile.step")["median_s"]
    return [{"kind": c["case"].removeprefix("profile."), "ms": 1e3 * c["median_s"],
             "share": c["median_s"] / whole, "launches": c.get("calls", 0)} for c in record["cases"]]


def data(out):
    found = [loaded(out / f"{name}.json") for name in ("data", "data_stages")]
    return [{"case": c["case"], "images_per_s": c["images_per_s"]} for record in found if record
            for c in record["cases"]]


def markdown(check):
    facts = ", ".join(f"{key} {value}" for key, value in check["facts"].items())
    return "\n\n".join(["# Check of a device", facts, check["version"], tables.device(check)]) + "\n"


def first_line(file):
    text = file.read_text().strip().splitlines() if file.is_file() else []
    return text[-1] if text else ""


def main(out):
    facts = first_line(out / "facts.out")
    beside = comparisons(out)
    best = {}
    for row in beside:
        best[row["arch"]] = max(best.get(row["arch"], 0.0), row["official"])
    check = {"date": turns.today(), "facts": json.loads(facts) if facts.startswith("{") else {},
             "version": first_line(out / "version.out"), "steps": steps_of(out), "speed": speed(out, best),
             "comparisons": beside, "curves": curves(out), "evaluation": evaluation(out), "profile": profile(out),
             "data": data(out)}
    (out / "check.json").write_text(json.dumps(check, indent=1) + "\n")
    (out / "check.md").write_text(markdown(check))
    print(f"{out / 'check.md'}: {sum(s['result'] == 'done' for s in check['steps'])} of {len(check['steps'])} steps done")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
