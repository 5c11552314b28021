"""Commands in turn, and what is told of them."""

import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys


def fail(message):
    sys.exit("error: " + message)


def run(command, threads):
    """A command's standard output; the script ends with its reason where it fails."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), PYTHONWARNINGS="ignore")
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines() or ["no message"]
        fail(f"{' '.join(command)}: exit {done.returncode}: {reason[-1]}")
    return done.stdout


def records(command, threads):
    """The JSON objects that a command prints, a line each."""
    lines = [json.loads(line) for line in run(command, threads).splitlines() if line.startswith("{")]
    if not lines:
        fail(f"{' '.join(map(str, command))}: expected a JSON object on stdout, found none")
    return lines


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def machine():
    """What a figure depends on, without names of hosts."""
    facts = {"processor": platform.processor() or platform.machine(), "processors": os.cpu_count()}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            facts["processor"] = line.split(": ", 1)[1]
            break
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
        facts["gpu"] = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass
    return facts


def today():
    return datetime.date.today().isoformat()


def commit_of(folder):
    """The first digits of a checkout's commit; empty where there is none."""
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip()
