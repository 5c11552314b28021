"""What is measured, as commands: group by group, each with labels that the tables go by."""

import sys

ARCHITECTURES = ("vit_tiny", "vit_small", "vit_base", "vit_large")


class Commands:
    """Builds commands from what `scripts/performance.py measure` was given.

    Each group returns (label, command) pairs; a command writes its figures to the file that is added
    as --json. Quick ones only show that all runs.
    """

    def __init__(self, options, reference):
        self.options, self.reference, self.quick = options, reference, options.quick

    def bench(self, *words, steps):
        return [self.options.bench, *words, "--steps", 1 if self.quick else steps]

    def compare(self, case, *words, rounds, steps):
        words = ["--case", case, *words, "--rounds", min(rounds, self.options.rounds), "--steps", steps]
        quick = ["--quick"] if self.quick else []
        return [sys.executable, self.reference, self.options.official, "--bench", self.options.bench, *words, *quick]

    def step(self):
        runs = []
        for arch, batch, rounds in (("vit_small", 4, 5), ("vit_base", 2, 1))[: 1 if self.quick else 2]:
            for precision in ("fp32", "bf16"):
                words = ["--arch", arch, "--batch", 1 if self.quick else batch, "--precision", precision]
                runs.append((f"{arch} {precision}", self.compare("step", *words, rounds=rounds, steps=2)))
        return runs

    def memory(self):
        return [(f"{precision} {batch}",
                 self.compare("step", "--batch", batch, "--precision", precision, rounds=1, steps=1))
                for precision in ("fp32", "bf16") for batch in ((1, 2) if self.quick else (2, 10))]

    def in_both_precisions(self, command, steps):
        batch = 1 if self.quick else 4
        return [(precision, self.bench(command, f"train.precision={precision}", f"train.batch_size={batch}",
                                       "--threads", 1, "--device", "cpu", steps=steps))
                for precision in ("fp32", "bf16")]

    def ops(self):
        return self.in_both_precisions("ops", 3)

    def kernels(self):
        # On a CPU own code serves half precision alone.
        return [("bf16", self.bench("kernels", "train.precision=bf16", "--threads", 1, "--device", "cpu", steps=10))]

    def profile(self):
        return self.in_both_precisions("profile", 2)

    def stages(self):
        return [("stages", self.bench("data", self.options.data, "--stages", "--threads", 1, steps=5))]

    def data(self):
        peers = ("official", "albumentations", "dali")
        return [(peer, self.compare("data", "--data", self.options.data, "--peer", peer, rounds=5, steps=1))
                for peer in peers]

    def knn(self):
        return [("knn", self.compare("knn", rounds=1, steps=1))]

    def networks(self):
        batch = 2 if self.quick else 8
        return [(f"{case} {precision}",
                 self.compare(case, "--batch", batch, "--precision", precision, "--peer-precision", precision,
                              rounds=5, steps=3))
                for case in ("features", "fine-tune") for precision in ("fp32", "bf16")]

    def threads(self):
        runs = []
        for turn in range(1 if self.quick else 3):
            for threads in (1, 2):
                words = ["train.batch_size=4", "--threads", threads, "--device", "cpu"]
                runs.append((f"step {threads} {turn}", self.bench("step", *words, steps=2)))
                words = ["data", self.options.data, f"data.workers={threads}", "--threads", 1]
                runs.append((f"data {threads} {turn}", self.bench(*words, steps=3)))
        return runs

    def growth(self):
        arch = "vit_tiny" if self.quick else "vit_small"
        fixed = {"batch": 2, "crops": 10, "model": arch, "prototypes": 8192}
        ranges = {"batch": (1, 2, 4, 8, 16), "crops": (1, 2, 4, 8, 12), "model": ARCHITECTURES,
                  "prototypes": tuple(2**power for power in range(11, 18))}
        runs = []
        for axis, values in ranges.items():
            for value in values[:2] if self.quick else values:
                at = {**fixed, axis: value}
                words = [f"train.batch_size={at['batch']}", f"augment.local_crops={at['crops']}",
                         f"backbone.arch={at['model']}", f"head.prototypes={at['prototypes']}",
                         f"head.patch_prototypes={at['prototypes']}", "--threads", 1, "--device", "cpu"]
                runs.append((f"{axis} {value}", self.bench("step", *words, steps=2)))
        return runs

    def listing(self):
        counts = (1000, 10000) if self.quick else (1000, 10_000, 100_000, 1_000_000, 14_197_122)
        runs = []
        for count in counts:
            words = ["listing", self.options.scratch / f"listing_{count}", "--images", count,
                     "--folders", max(1, count // 650)]
            runs += [(f"draw {count}", self.bench(*words, steps=1)), (f"time {count}", self.bench(*words, steps=3))]
        return runs


NEEDS_OFFICIAL = ("step", "memory", "data", "knn", "networks")
NEEDS_DATA = ("stages", "data", "threads")
GROUPS = ("step", "memory", "ops", "kernels", "profile", "networks", "stages", "data", "knn", "threads", "growth", "listing")
