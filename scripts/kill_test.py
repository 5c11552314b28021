#!/usr/bin/env python3
"""Kills a training run again and again and checks that nothing is lost.

    scripts/kill_test.py [--task finetune|segment] [--kills 50] [--nproc 2] [--seed 0] [--bin bin]
                         [--work DIR] [key=value ...]

Pre-trains, fine-tunes with `--task finetune`, or segments with `--task segment`; keys replace those
of the small network. Draws a small image set, trains on it undisturbed, then trains the same again
while `kill -9` strikes at random moments: a third of the kills while a checkpoint is being written; with several ranks
(--nproc) some strike the launcher and some a single rank, in turn. After each kill every process of
the run must be gone within a minute by itself. At the end the checkpoint of the killed run must be
the undisturbed one's, byte for byte; a run that ends before all kills were spent is begun anew and
has to show the same again.

Needs nothing but this Python and the built programs; a CPU is enough. Prints a summary and exits
with 0 when everything held.
"""

import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

MARK = "IBOT_KILL_TEST"
GONE_S = 60.0
SMALL = {}  # the network and set of each task
SMALL["pretrain"] = [
    "data.workers=1", "augment.global_size=16", "augment.local_size=8", "backbone.image_size=16",
    "head.prototypes=2048", "head.patch_prototypes=2048", "train.save_every_steps=3",
    "train.save_every_epochs=2", "train.log_every_steps=1",
]  # fmt: skip
SMALL["finetune"] = [
    "data.workers=1", "backbone.embed_dim=64", "backbone.depth=3", "backbone.heads=2",
    "backbone.patch_size=4", "backbone.image_size=16", "transform.size=16", "finetune.precision=fp32",
    "finetune.lr=0.01", "finetune.lr_batch=0", "finetune.warmup_epochs=1", "finetune.ema=0.9",
    "finetune.save_every_steps=3", "finetune.log_every_steps=1",
]  # fmt: skip
SMALL["segment"] = [
    "data.workers=1", "backbone.embed_dim=16", "backbone.depth=4", "backbone.heads=2", "backbone.patch_size=8",
    "backbone.image_size=32", "segment.crop_size=32", "segment.resize_short=32", "segment.resize_long=128",
    "segment.stride=20", "segment.channels=8", "segment.precision=fp32", "segment.lr=0.001",
    "segment.warmup_iterations=4", "segment.save_every_steps=3", "segment.log_every_steps=1",
]  # fmt: skip
SETS = {
    "segment": ["--task", "segment", "classes=3", "train=32", "val=1", "size=32"],
    "finetune": ["classes=2", "train_per_class=16", "val_per_class=1", "size=16"],
}
SETS["pretrain"] = SETS["finetune"]


def processes(mark):
    """Ids of the live processes that were started with `mark` in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment = pathlib.Path(entry.path, "environ").read_bytes().split(b"\0")
            state = pathlib.Path(entry.path, "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if wanted in environment and state not in "ZX":
            found.append(int(entry.name))
    return sorted(found)


def half_written(folder):
    """Files that are being written, or that a killed write has left, with the time of the last write."""
    found = set()
    try:
        for entry in os.scandir(folder):
            if entry.name.endswith(".tmp"):
                found.add((entry.name, entry.stat().st_mtime_ns))
    except FileNotFoundError:
        pass  # the folder, or a file that has just been renamed
    return found


class Trial:
    def __init__(self, arguments, work):
        self.bin = arguments.bin.resolve()
        self.nproc = arguments.nproc
        self.work = work
        self.random = random.Random(arguments.seed)
        self.mark = f"{os.getpid()}-{arguments.seed}"
        self.epochs = arguments.epochs
        self.task = arguments.task
        self.keys = arguments.keys
        self.spent = {"launcher": 0, "rank": 0, "writing": 0}
        self.struck_writing = 0

    def command(self, output):
        if self.task == "pretrain":
            config = pathlib.Path(__file__).resolve().parent.parent / "configs/smoke/tiny.yaml"
            command = [self.bin / "ibot-train", config, "data.path=set/train", "--quiet"]
            section = "train"
        else:
            command = [self.bin / "ibot-eval", self.task, "--weights", "random", "--data", "set"]
            command += ["--device", "cpu"]
            section = self.task
        length = f"iterations={4 * self.epochs}" if self.task == "segment" else f"epochs={self.epochs}"
        keys = [*SMALL[self.task], f"{section}.{length}", f"{section}.batch_size={8 // self.nproc}", *self.keys]
        command += {key.partition("=")[0]: key for key in keys}.values()  # the last of each name
        command += ["--output", output, "--threads", "1"]
        return command + (["--nproc", str(self.nproc)] if self.nproc > 1 else [])

    def start(self, output):
        command = self.command(output)
        environment = dict(os.environ, OMP_NUM_THREADS="1", **{MARK: self.mark})
        log = open(self.work / f"{output}.txt", "a")
        return subprocess.Popen(command, cwd=self.work, env=environment, stdout=log, stderr=log)

    def finish(self, output):
        status = self.start(output).wait()
        if status != 0:
            raise SystemExit(f"error: {output} ended with status {status}: {self.last_words(output)}")

    def last_words(self, output):
        return (self.work / f"{output}.txt").read_text().strip().rpartition("\n")[2]

    def wait_for_moment(self, run, checkpoints, left, kind, longest):
        """Until the moment to strike; false when the run ended before."""
        end = time.monotonic() + self.random.uniform(0, longest)
        while run.poll() is None:
            due = time.monotonic() >= end
            if due and (kind != "writing" or half_written(checkpoints) - left):
                return True
            time.sleep(0.0005)
        return False

    def strike(self, run, kind):
        others = [process for process in processes(self.mark) if process != run.pid]
        target = self.random.choice(others) if kind == "rank" and others else run.pid
        try:
            os.kill(target, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def expect_gone(self, run):
        end = time.monotonic() + GONE_S
        try:
            run.wait(GONE_S)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"error: the launcher lived on for {GONE_S:.0f} s") from None
        while processes(self.mark):
            if time.monotonic() > end:
                raise SystemExit(f"error: processes left behind: {processes(self.mark)}")
            time.sleep(0.02)

    def expect_equal(self):
        name = "checkpoints/last.safetensors"
        plain, killed = (self.work / run / name for run in ("plain", "killed"))
        if plain.read_bytes() != killed.read_bytes():
            raise SystemExit(f"error: {plain} and {killed} differ")

    def run(self, kills):
        subprocess.run([self.bin / "ibot-data", "synth", "set", *SETS[self.task]], cwd=self.work, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        begun = time.monotonic()
        self.finish("plain")
        life = time.monotonic() - begun
        print(f"undisturbed: {life:.1f} s", flush=True)
        kinds = ["writing", "launcher", "rank"]
        runs, done = 1, 0
        while done < kills:
            kind = kinds[done % 3]
            checkpoints = self.work / "killed/checkpoints"
            left = half_written(checkpoints)
            run = self.start("killed")
            if not self.wait_for_moment(run, checkpoints, left, kind, life / 3):
                if run.wait() != 0:
                    raise SystemExit(f"error: a resume failed: {self.last_words('killed')}")
                self.expect_equal()
                shutil.rmtree(self.work / "killed")
                runs += 1
                continue
            self.strike(run, kind)
            self.expect_gone(run)
            self.struck_writing += bool(half_written(checkpoints) - left)
            self.spent[kind] += 1
            done += 1
            print(f"kill {done}/{kills}: {kind}", flush=True)
        self.finish("killed")
        self.expect_equal()
        if processes(self.mark):
            raise SystemExit(f"error: processes left behind: {processes(self.mark)}")
        spent = ", ".join(f"{number} {kind}" for kind, number in self.spent.items())
        print(f"{kills} kills ({spent}; {self.struck_writing} left a file half written), "
              f"{runs} runs to the end: every resume worked, weights equal to the bit, "
              "no process left behind")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=["pretrain", "finetune", "segment"], default="pretrain")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--nproc", type=int, default=2, help="ranks of the run")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and victims")
    parser.add_argument("--epochs", type=int, default=40, help="of four steps each")
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("bin"))
    parser.add_argument("--work", type=pathlib.Path, help="folder to work in (default: a temporary one)")
    parser.add_argument("keys", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    if arguments.work is not None:
        arguments.work.mkdir(parents=True)
    work = arguments.work or pathlib.Path(tempfile.mkdtemp(prefix="ibot-kill-"))
    trial = Trial(arguments, work.resolve())
    try:
        trial.run(arguments.kills)
    finally:
        for process in processes(trial.mark):
            os.kill(process, signal.SIGKILL)
        if arguments.work is None:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
