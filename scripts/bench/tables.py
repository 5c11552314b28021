"""From records to the tables and plots of docs/performance.md."""

from bench import svg, turns

MIB = 2.0**20
KINDS = ("matmul", "attention", "norm", "elementwise", "loss", "optimizer", "copies", "comm", "outside")
STAGES = ("read", "decode", "crop", "jitter", "hue", "gray", "blur", "copy")
STAGE_NAMES = {"crop": "crop and resize", "jitter": "brightness, contrast, saturation",
               "gray": "grayscale, solarization", "copy": "to normalized float32"}


def table(header, rows):
    """Without columns that are empty in every row."""
    used = [i for i, _ in enumerate(header) if any(row[i] for row in rows)]
    header, rows = [header[i] for i in used], [[row[i] for i in used] for row in rows]
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def figure(value):
    """Three digits that count."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(values):
    if values["least"] == values["most"]:
        return f"{values['median']:.2f}"
    return f"{values['median']:.2f} ({values['least']:.2f} to {values['most']:.2f})"


def median_of(comparison, position):
    return turns.spread([r["rates"][position] for r in comparison["rounds"]])["median"]


def peak(comparison, side):
    return max(r[side]["peak_memory_bytes"] for r in comparison["rounds"])


def comparisons(record):
    return [(run["label"], run["record"]["comparisons"][0]) for run in record["runs"]]


def cases(run):
    return {case["case"]: case for case in run["record"]["cases"]}


def compared(record):
    """Ours beside others', a line each; the shares where the limit was measured in the same run."""
    rows = []
    for _, c in comparisons(record):
        speed = [r["flops_per_s"] for r in c["rounds"] if r.get("flops_per_s")]
        shares = [r["limit_share"] for r in c["rounds"] if r["limit_share"]]
        arithmetic = c["case"] not in ("data", "knn")
        title = c["title"] + (f", ours {c['precision']}, {c['peer']} {c['peer_precision']}" if arithmetic else "")
        rows.append([title, f"{c['peer']} {figure(median_of(c, 0))}", figure(median_of(c, 1)), ratio(c["ratio"]),
                     figure(turns.spread(speed)["median"] / 1e9) if speed else "",
                     f"{100 * turns.spread(shares)['median']:.0f} %" if shares else "",
                     f"{peak(c, 'peer') / MIB:.0f} / {peak(c, 'ours') / MIB:.0f}"])
    return table(["case", "other, images/CPU s", "ours", "ratio", "GFLOP/s", "of products alone",
                  "peak MiB, other / ours"], rows)


def memory(record):
    slopes, rows = {}, []
    for label, c in comparisons(record):
        slopes.setdefault(label.split()[0], []).append((c["batch"], peak(c, "peer"), peak(c, "ours")))
    for precision, ((batch, *low), (larger, *high)) in slopes.items():
        other, ours = ((b - a) / (larger - batch) / 1e9 for a, b in zip(low, high))
        rows.append([precision, f"{batch} to {larger}", f"{other:.3f}", f"{ours:.3f}", f"{ours / other:.2f}"])
    return table(["ours in", "batch", "official, GB an image", "ours, GB an image", "ratio"], rows)


def ops(record):
    """Parts by CPU time; what memory limits beside a copy."""
    rows = []
    for run in record["runs"]:
        parts = cases(run)
        seconds = {name: part["user_s"] for name, part in parts.items()}
        speeds = {name: part["bytes_per_s"] * part["median_s"] / part["user_s"]
                  for name, part in parts.items() if "bytes_per_s" in part}
        for name in parts:
            if name.startswith("kernel."):
                continue
            speed = speeds.get(name)
            rows.append([run["label"], name.replace("_", " "), figure(1e3 * seconds[name]),
                         f"{100 * seconds[name] / seconds['step']:.1f} %" if name != "copy" else "",
                         f"{speed / 1e9:.1f} GB/s, {100 * speed / speeds['copy']:.0f} % of a copy's" if speed else ""])
    return table(["precision", "part", "CPU ms", "of the step", "memory"], rows)


def kernels(record):
    """Own code beside LibTorch's operators, in turn in one run."""
    rows = []
    for run in record["runs"]:
        parts = cases(run)
        for name in (n.removesuffix(".own") for n in parts if n.endswith(".own")):
            own, other = parts[name + ".own"], parts[name + ".fallback"]
            rows.append([run["label"], name.removeprefix("kernel."), figure(1e6 * other["p10_s"]),
                         figure(1e6 * own["p10_s"]), f"{other['p10_s'] / own['p10_s']:.2f}",
                         figure(own["bytes_per_s"] * own["median_s"] / own["p10_s"] / 1e9)])
    return table(["precision", "kernel", "operators, µs", "own, µs", "ratio", "own, GB/s"], rows)


def profile(record):
    rows = []
    for run in record["runs"]:
        parts = cases(run)
        whole = parts["profile.step"]["median_s"]
        for kind in KINDS:
            part = parts.get("profile." + kind)
            if part:
                rows.append([run["label"], kind, figure(1e3 * part["median_s"]),
                             f"{100 * part['median_s'] / whole:.1f} %", f"{part.get('calls', 0):.0f}"])
    return table(["precision", "kind", "ms a step", "share", "calls"], rows)


def stages(record):
    parts = cases(record["runs"][0])
    seconds = {stage: 1.0 / parts["data." + stage]["images_per_s"] for stage in STAGES}
    whole = sum(seconds.values())
    rows = [[STAGE_NAMES.get(stage, stage), f"{1e3 * seconds[stage]:.2f}", f"{100 * seconds[stage] / whole:.0f} %"]
            for stage in STAGES]
    return table(["stage", "CPU ms an image", "share"], rows + [["all", f"{1e3 * whole:.2f}", ""]])


def threads(record):
    rates = {}
    for run in record["runs"]:
        kind, count, _ = run["label"].split()
        rates.setdefault((kind, count), []).append(next(iter(cases(run).values()))["images_per_s"])
    rows = []
    for kind in ("step", "data"):
        one, two = (turns.spread(rates[kind, count])["median"] for count in "12")
        rows.append([kind, figure(one), figure(two), f"{two / one:.2f}"])
    return table(["case", "1 thread, images/s", "2 threads", "ratio"], rows)


def growth_lines(record):
    """axis: [(value, seconds, bytes)]; of the axis of models the operations of an image."""
    lines = {}
    for run in record["runs"]:
        axis, value = run["label"].split()
        step = cases(run)["step"]
        at = step["flops"] / step["images_per_s"] / step["median_s"] if axis == "model" else float(value)
        lines.setdefault(axis, []).append((value, at, step["user_s"], step["peak_memory_bytes"]))
    return lines


def growth(record):
    rows = []
    for axis, points in growth_lines(record).items():
        _, first, seconds, size = points[0]
        for value, at, now_s, now_size in points:
            rows.append([axis, value, f"{at / first:.1f}", f"{now_s / seconds:.2f}", f"{now_size / size:.2f}",
                         figure(now_s), f"{now_size / MIB:.0f}"])
    return table(["grows", "to", "times", "time, times", "memory, times", "CPU s", "peak MiB"], rows)


def growth_plots(record):
    names = {"batch": "images a step", "crops": "local crops", "model": "operations an image",
             "prototypes": "prototypes"}
    for axis, points in growth_lines(record).items():
        lines = {"CPU s a step": [(at, seconds) for _, at, seconds, _ in points],
                 "peak GiB": [(at, size / 2.0**30) for _, at, _, size in points]}
        yield f"growth_{axis}.svg", svg.plot(f"Growth with {names[axis]}", names[axis], "CPU s, GiB", lines)


def listing_points(record):
    """Of each size the cases by name."""
    return [(int(run["label"].split()[1]), cases(run)) for run in record["runs"] if run["label"].startswith("time")]


def listing(record):
    rows = []
    for count, parts in listing_points(record):
        seconds = [parts["listing." + name]["median_s"] for name in ("open", "order_of_8_ranks", "epoch_of_8_ranks")]
        memory_bytes = parts["listing.open"]["peak_memory_bytes"]
        rows.append([f"{count:,}".replace(",", " "), *(figure(1e3 * s) for s in seconds), f"{memory_bytes / MIB:.0f}"])
    return table(["images", "open, ms", "order of an epoch for 8 ranks, ms", "names of a rank's epoch, ms",
                  "peak MiB"], rows)


def listing_plots(record):
    points = listing_points(record)
    lines = {name: [(count, parts["listing." + case]["median_s"]) for count, parts in points]
             for name, case in (("open", "open"), ("order", "order_of_8_ranks"), ("names", "epoch_of_8_ranks"))}
    yield "listing.svg", svg.plot("Growth with the set", "images", "s", lines)


def shown(value):
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return figure(value)
    return str(value)


def device(check):
    """All tables of a check by scripts/gpu_check.sh."""
    parts = []
    for title, key in (("Steps", "steps"), ("Speed and memory", "speed"), ("Beside the official code", "comparisons"),
                       ("Loss curves beside the CPU's in fp32", "curves"), ("Evaluation", "evaluation"),
                       ("Profile of a step", "profile"), ("Data", "data")):
        rows = check[key]
        if rows:
            header = [name.replace("_", " ") for name in rows[0]]
            parts += [f"### {title}", table(header, [[shown(v) for v in row.values()] for row in rows])]
    return "\n\n".join(parts)


TABLES = {"gpu": device, "step": compared, "data": compared, "knn": compared, "networks": compared, "memory": memory, "ops": ops,
          "kernels": kernels, "profile": profile, "stages": stages, "threads": threads, "growth": growth, "listing": listing}
PLOTS = {"growth": growth_plots, "listing": listing_plots}
