#!/usr/bin/env python3
"""Scores random detections by ibot-eval and by pycocotools in turn, and prints both times and their ratio.

    scripts/bench_coco.py FOLDER [--images 5000] [--rounds 3]

FOLDER receives annotations of 80 categories, 7 boxes an image, and 100 detections an image. Times are CPU
time in user mode of a whole process on one thread, reading included. This Python needs pycocotools.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import statistics
import subprocess
import sys

CATEGORIES, OBJECTS, DETECTIONS, WIDTH, HEIGHT = 80, 7, 100, 640, 480
PYCOCOTOOLS = """
import sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO(sys.argv[1])
scores = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
scores.evaluate(); scores.accumulate(); scores.summarize()
print(scores.stats[0] * 100)
"""


def box():
    width, height = random.uniform(4, 200), random.uniform(4, 200)
    return [random.uniform(0, WIDTH - width), random.uniform(0, HEIGHT - height), width, height]


def draw(folder, images):
    """The two files; some detections are objects, moved a little."""
    objects, detections = [], []
    for image in range(1, images + 1):
        for _ in range(OBJECTS):
            bounds = box()
            objects.append({"id": len(objects) + 1, "image_id": image, "category_id": random.randint(1, CATEGORIES),
                            "bbox": bounds, "area": bounds[2] * bounds[3], "iscrowd": 0})
            detections.append({"image_id": image, "category_id": objects[-1]["category_id"],
                               "bbox": [value * random.uniform(0.9, 1.1) for value in bounds],
                               "score": random.random()})
        for _ in range(DETECTIONS - OBJECTS):
            detections.append({"image_id": image, "category_id": random.randint(1, CATEGORIES), "bbox": box(),
                               "score": random.random()})
    listed = [{"id": i + 1, "file_name": f"{i}.jpg", "height": HEIGHT, "width": WIDTH} for i in range(images)]
    categories = [{"id": i + 1, "name": str(i + 1)} for i in range(CATEGORIES)]
    truth, found = folder / "annotations/instances_val2017.json", folder / "found.json"
    truth.parent.mkdir(parents=True, exist_ok=True)
    truth.write_text(json.dumps({"images": listed, "annotations": objects, "categories": categories}))
    found.write_text(json.dumps(detections))
    return truth, found


def user_seconds(command):
    """CPU time in user mode and standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, OMP_NUM_THREADS="1"))
    if done.returncode != 0:
        sys.exit("error: " + " ".join(command[:2]) + ": " + (done.stderr.strip().splitlines() or ["no message"])[-1])
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, done.stdout


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default=str(root / "bin/ibot-eval"))
    options = parser.parse_args()
    random.seed(0)
    truth, found = draw(options.folder, options.images)
    output = options.folder / "report"
    ours = [options.program, "detect", "--data", str(options.folder), "--results", str(found), "--threads", "1",
            "--device", "cpu", "--output", str(output)]
    theirs = [sys.executable, "-c", PYCOCOTOOLS, str(truth), str(found)]
    print("round   pycocotools      ours   ratio")
    ratios = []
    for index in range(options.rounds):
        (peer, told), (own, _) = user_seconds(theirs), user_seconds(ours)
        ratios.append(peer / own)
        print(f"{index + 1:5} {peer:11.2f} s {own:7.2f} s {ratios[-1]:7.2f}", flush=True)
    average = json.loads((output / "report.json").read_text())["metrics"]["box_ap"]
    print(f"box AP  pycocotools {float(told.split()[-1]):.9f}, ours {average:.9f}")
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), median of {options.rounds}")


if __name__ == "__main__":
    main()
