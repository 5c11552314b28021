#!/usr/bin/env python3
"""Prints what a device is, as one JSON object. argv: cuda|cpu"""

import importlib.util
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from bench import turns  # noqa: E402


def main(device):
    facts = {"device": device, **turns.machine()}
    if importlib.util.find_spec("torch"):
        import torch

        facts.update(torch=torch.__version__, cuda=torch.version.cuda)
        if device == "cuda":
            properties = torch.cuda.get_device_properties(0)
            facts.update(gpu=properties.name, multiprocessors=properties.multi_processor_count,
                         memory_bytes=properties.total_memory,
                         capability=f"{properties.major}.{properties.minor}")
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
