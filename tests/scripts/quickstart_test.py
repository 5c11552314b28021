"""scripts/quickstart.sh with programs that are built: stand-ins for what installs and builds, three steps of training."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
PROGRAMS = os.environ.get("IBOT_PROGRAMS")


@unittest.skipUnless(PROGRAMS, "IBOT_PROGRAMS names the folder of built programs")
class QuickStart(unittest.TestCase):
    def test_prints_what_the_reports_hold(self):
        with tempfile.TemporaryDirectory() as holder:
            clone = pathlib.Path(holder) / "clone"
            for name in ("scripts", ".deps", "tools"):
                (clone / name).mkdir(parents=True)
            shutil.copy(ROOT / "scripts" / "quickstart.sh", clone / "scripts")
            (clone / ".deps" / "env.sh").touch()
            (clone / "configs").symlink_to(ROOT / "configs")
            (clone / "bin").symlink_to(PROGRAMS)
            for stand_in, status in (("scripts/bootstrap.sh", 0), ("tools/cmake", 0), ("tools/nvidia-smi", 1)):
                (clone / stand_in).write_text(f"#!/bin/sh\nexit {status}\n")
                (clone / stand_in).chmod(0o755)
            run = subprocess.run([clone / "scripts" / "quickstart.sh", "train.max_steps=3"], capture_output=True, text=True,
                                 env={**os.environ, "PATH": f"{clone / 'tools'}:{os.environ['PATH']}"}, timeout=300)
            self.assertEqual(run.returncode, 0, run.stderr)
            summary = run.stdout[run.stdout.index("k-NN accuracy"):]
            for name, words in (("pixels", "raw pixels"), ("untrained", "untrained network"), ("trained", "trained network")):
                report = json.loads((clone / "runs" / "quickstart" / "eval" / name / "report.json").read_text())
                printed = re.search(rf"^  {words} +(\S+)$", summary, re.MULTILINE)
                self.assertIsNotNone(printed, summary)
                self.assertAlmostEqual(float(printed.group(1)), report["metrics"]["top1_k20"], delta=0.006)
            for path in re.findall(r"^(runs/quickstart/\S+)", summary, re.MULTILINE):
                self.assertTrue((clone / path).exists(), path)


if __name__ == "__main__":
    unittest.main()
