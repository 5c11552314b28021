#!/usr/bin/env python3
"""Times ours and others' code on the same work, in turn, and prints both and their ratio.

    scripts/bench_reference.py OFFICIAL [--data DIR] [--case CASE] [--rounds 5] [--json FILE]

OFFICIAL is a checkout of bytedance/ibot. Without --case: step and, with --data, data.

  step       one whole training step: 2 x 224 + 10 x 96 px, masks, class and patch loss, backward,
             clipping, AdamW, teacher update
  data       the 12 crops of the images of DIR, decoding included; --peer official (torchvision on
             Pillow), albumentations (AlbumentationsX) or dali
  knn        k = 20 neighbors of 2 000 random features among 1 281 167, 384 wide
  propagation
             labels of one DAVIS frame of 30 x 52 patches, 384 wide, from 8 frames, without the network
  features   features of random images; the peer is timm
  fine-tune  forward, backward and update on 1000 classes; the peer is timm
  segment    the same of UPerNet with its auxiliary head, 150 classes, 512 px; the peer is the same model in
             plain PyTorch
  regions    RoIAlign of 512 regions, 7 x 7, and its gradient; the peer is torchvision
  suppression
             non-maximum suppression of 10 000 boxes; the peer is torchvision

Every round measures one after the other in processes of their own, so that a busy machine slows both.
On one CPU thread rates are images per second of CPU time in user mode, which other work on the machine
disturbs least; else per second. The file of --json holds all rounds, the median, least and largest
ratio, the share of the speed of matrix products alone, machine, versions and command.

This Python needs torch, torchvision, numpy and Pillow, and for their cases timm, albumentations or
nvidia-dali; nothing of ours needs them.
"""

import argparse
import importlib.util
import json
import pathlib
import resource
import statistics
import sys
import time

from bench import dense, libraries, official, turns

MODULES = {"torch": "torch", "torchvision": "torchvision", "numpy": "numpy", "PIL": "pillow", "timm": "timm",
           "albumentations": "albumentationsx", "nvidia.dali": "nvidia-dali-cuda120"}
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
PEERS = {("step", "official"): official.step, ("data", "official"): official.data,
         ("knn", "official"): official.knn, ("propagation", "official"): official.propagation,
         ("features", "timm"): libraries.features,
         ("segment", "torch"): dense.segment, ("regions", "torchvision"): dense.regions,
         ("suppression", "torchvision"): dense.suppression, ("fine-tune", "timm"): libraries.fine_tune,
         ("data", "albumentations"): libraries.albumentations,
         ("data", "dali"): libraries.dali}
NEEDS = {"official": ["torch", "torchvision", "numpy", "PIL"], "timm": ["torch", "timm"], "torch": ["torch"],
         "torchvision": ["torch", "torchvision"],
         "albumentations": ["albumentations"], "dali": ["nvidia.dali"]}


# ---- The peer, in a process of its own ----


def peer_worker(options):
    """Prints one record of the peer's work, as ibot-bench does of ours."""
    if options.peer != "dali" and options.peer != "albumentations":
        import torch

        torch.set_num_threads(options.threads)
    images, work = PEERS[options.case, options.peer](options)
    work()
    seconds, user_before = [], resource.getrusage(resource.RUSAGE_SELF).ru_utime
    for _ in range(options.steps):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    median = statistics.median(seconds)
    record = {"case": options.case, "images_per_s": images / median, "median_s": median, "images": images,
              "user_s": (usage.ru_utime - user_before) / len(seconds), "peak_memory_bytes": usage.ru_maxrss * 1024}
    if options.device == "cuda":
        record["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
    print(json.dumps(record))


# ---- Both, in turn ----


def peer_command(options):
    command = [sys.executable, __file__, options.official, "--worker"]
    for name in ("case", "peer", "arch", "batch", "steps", "threads", "images", "prototypes", "local_crops", "device"):
        command += ["--" + name.replace("_", "-"), getattr(options, name)]
    command += ["--precision", options.peer_precision]
    command += ["--data", options.data] if options.data else []
    return command + [flag for flag in ("--compile", "--quick") if getattr(options, flag[2:])]


def our_command(options):
    augment = ["augment.global_size=224", "augment.global_scale=[0.25,1.0]", "augment.local_size=96",
               "augment.local_scale=[0.05,0.25]", f"augment.local_crops={options.local_crops}"]
    network = [f"backbone.arch={options.arch}", f"train.batch_size={options.batch}",
               f"train.precision={options.precision}", "--device", options.device]
    if options.arch.startswith("swin"):
        network.append("backbone.patch_size=4")
    parts = {
        "knn": ["knn", "--rows", 20000 if options.quick else official.KNN_ROWS, "--width", official.KNN_WIDTH,
                "--queries", 200 if options.quick else official.KNN_QUERIES, "--k", official.KNN_K,
                "--device", options.device],
        "data": ["data", options.data, *augment, f"data.workers={options.threads}"],
        "propagation": ["propagation", "--rows", official.VIDEO_ROWS, "--columns", official.VIDEO_COLUMNS,
                        "--width", official.VIDEO_WIDTH, "--device", options.device],
        "regions": ["regions", "--device", options.device],
        "suppression": ["suppression", "--device", "cpu"],
        "features": ["features", *network],
        "fine-tune": ["fine-tune", *network],
        "segment": ["segment", *network, f"backbone.image_size={dense.SIZE}"],
        "step": ["step", *network, *augment, "backbone.drop_path=0.1", f"head.prototypes={options.prototypes}",
                 f"head.patch_prototypes={options.prototypes}", "head.shared=true", "mask.ratio=[0.0,0.3]",
                 "mask.ratio_var=[0.0,0.2]"],
    }[options.case]
    return [options.bench, *parts, "--steps", options.steps, "--threads", options.threads]


def per_second(record, key, by_cpu_time):
    """What a record says of a second, by the clock or by CPU time; None where it does not."""
    if key not in record or not by_cpu_time:
        return record.get(key)
    return record[key] * record["median_s"] / record["user_s"]


def speed(records, by_cpu_time):
    """Useful operations a second and their share of those of matrix products alone, of one run."""
    products = next((r for r in records if r["case"] == "products"), {})
    own, limit = (per_second(record, "flops_per_s", by_cpu_time) for record in (records[0], products))
    return {"flops_per_s": own, "limit_share": own / limit if limit else None}


def title(options):
    crops = f"2x224 + {options.local_crops}x96"
    return {"step": f"step: {options.arch}, {crops}, batch {options.batch}, {options.prototypes} prototypes",
            "data": f"data: {crops} crops of each image",
            "knn": f"knn: {official.KNN_QUERIES} against {official.KNN_ROWS} features",
            "propagation": f"propagation: {official.VIDEO_ROWS}x{official.VIDEO_COLUMNS} patches from "
                           f"{official.VIDEO_FRAMES} frames",
            "regions": "regions: RoIAlign of 512 regions with gradient",
            "suppression": "suppression: 10 000 boxes at 0.7",
            "features": f"features: {options.arch}, batch {options.batch}",
            "fine-tune": f"fine-tune: {options.arch}, batch {options.batch}",
            "segment": f"segment: {options.arch} with UPerNet, {dense.SIZE} px, batch {options.batch}"}[options.case]


def shown(values):
    return "{median:8.3f}  ({least:.3f} to {most:.3f})".format(**turns.spread(values))


def mebibytes(records):
    return f"{max(record['peak_memory_bytes'] for record in records) / 2**20:8.0f} MiB"


def compare(options):
    """Runs all rounds of a case, prints its table and returns its record."""
    by_cpu_time = options.threads == 1 and options.device == "cpu"
    unit = "images/CPU s" if by_cpu_time else "images/s"
    print(f"\n{title(options)}, {options.precision}, {options.threads} thread{'s'[: options.threads != 1]}, {unit}")
    print(f"round   {options.peer:>14}             ours   ratio", flush=True)
    rounds = []
    for index in range(options.rounds):
        peer = turns.records(peer_command(options), options.threads)[-1]
        ours = turns.records(our_command(options), options.threads)
        rates = [per_second(record, "images_per_s", by_cpu_time) for record in (peer, ours[0])]
        rounds.append({"peer": peer, "ours": ours[0], "rates": rates, "ratio": rates[1] / rates[0],
                       **speed(ours, by_cpu_time)})
        print(f"{index + 1:5}   {rates[0]:14.3f}   {rates[1]:14.3f}   {rounds[-1]['ratio']:5.2f}", flush=True)
    for name, position in ((options.peer, 0), ("ours", 1)):
        memory = mebibytes([r["ours" if position else "peer"] for r in rounds])
        print(f"{name:9} {shown([r['rates'][position] for r in rounds])} {unit}, peak {memory}")
    print(f"ratio     {shown([r['ratio'] for r in rounds])}, median of {options.rounds}")
    return {"title": title(options), "unit": unit, "ratio": turns.spread([r["ratio"] for r in rounds]),
            **{name: getattr(options, name) for name in ("case", "peer", "arch", "batch", "threads", "precision",
                                                         "peer_precision", "device", "compile", "local_crops",
                                                         "prototypes")},
            "rounds": rounds}


def parse():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("official", type=pathlib.Path, help="checkout of bytedance/ibot")
    parser.add_argument("--bench", type=pathlib.Path, default=root / "bin/ibot-bench")
    parser.add_argument("--data", type=pathlib.Path, help="folder of images")
    parser.add_argument("--case", choices=["step", "data", "knn", "propagation", "features", "fine-tune", "segment",
                                           "regions", "suppression"],
                        help="only this case")
    parser.add_argument("--peer", choices=list(NEEDS), help="what ours is compared with; default: see above")
    parser.add_argument("--arch", default="vit_small", choices=list(libraries.TIMM_NAMES))
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"], help="of ours")
    parser.add_argument("--peer-precision", default="fp32", choices=["fp32", "bf16", "fp16"], help="of its autocast")
    parser.add_argument("--compile", action="store_true", help="the official backbones by torch.compile")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="timed steps a round, after one to warm up")
    parser.add_argument("--batch", type=int, default=4, help="images a step")
    parser.add_argument("--prototypes", type=int, default=8192)
    parser.add_argument("--local-crops", type=int, default=10)
    parser.add_argument("--images", type=int, default=64, help="images of the peer's data case")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="one round of one step, fewer k-NN features")
    parser.add_argument("--json", type=pathlib.Path, help="file for all figures")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def check(options):
    missing = [MODULES[module] for module in NEEDS[options.peer] if not installed(module)]
    if missing:
        turns.fail(f"{sys.executable}: expected what {options.peer} needs, missing {', '.join(missing)}; "
                   f"{sys.executable} -m pip install {' '.join(missing)}")
    if (options.case, options.peer) not in PEERS:
        turns.fail(f"--peer: expected one of {', '.join(p for c, p in PEERS if c == options.case)} for "
                   f"{options.case}, got {options.peer}")
    if options.peer == "official" and not (options.official / "main_ibot.py").is_file():
        turns.fail(f"{options.official}: expected a checkout of bytedance/ibot, found no main_ibot.py")
    if options.case == "data" and not options.data:
        turns.fail("--case data: expected --data DIR")
    if options.data and not options.data.is_dir():
        turns.fail(f"{options.data}: expected a folder of images")
    if options.data and not options.files:
        turns.fail(f"{options.data}: expected images, found none")
    if not options.worker and not options.bench.is_file():
        turns.fail(f"{options.bench}: expected ibot-bench; build it or name it with --bench")


def of_case(options, case):
    """The options of one case, checked."""
    usual = {"features": "timm", "fine-tune": "timm", "segment": "torch",
             "regions": "torchvision", "suppression": "torchvision"}
    peer = options.peer or usual.get(case, "official")
    chosen = argparse.Namespace(**{**vars(options), "case": case, "peer": peer, "files": []})
    if options.quick:
        chosen.rounds = chosen.steps = 1
    if options.data:
        files = sorted(path for path in options.data.rglob("*") if path.suffix.lower() in SUFFIXES)
        chosen.files = files[: options.images]
    check(chosen)
    return chosen


def command_line(options):
    """As it was called, without this machine's folders."""
    folders = {str(options.official): "OFFICIAL", str(options.data): "PHOTOS"}
    words, skip = [], False
    for word in sys.argv[1:]:
        if word in ("--json", "--bench"):
            skip = True
        elif skip:
            skip = False
        else:
            words.append(folders.get(word, word))
    return " ".join(["scripts/bench_reference.py", *words])


def main():
    options = parse()
    cases = [options.case] if options.case else ["step", "data"] if options.data else ["step"]
    chosen = [of_case(options, case) for case in cases]
    if options.worker:
        peer_worker(chosen[0])
        return
    version = turns.run([options.bench, "--version"], 1).strip()
    record = {"command": command_line(options), "date": turns.today(), "machine": turns.machine(), "version": version,
              "official": turns.commit_of(options.official),
              "comparisons": [compare(options) for options in chosen]}
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
