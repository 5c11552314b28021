"""scripts/gpu_check.sh on stand-ins for the programs, without a GPU."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]

# Writes one file of figures; profile fails, knn hangs.
STAND_IN = """#!/bin/sh
[ "$1" = --version ] && echo "ibot-bench 7" && exit
for word; do [ "$before" = --json ] && file=$word; before=$word; done
case $1 in
  profile) echo "error: profile: no profiler" >&2; exit 1 ;;
  knn) exec sleep 600 ;;
esac
losses="4.0, 2.0"
case "$*" in *train.precision=bf16*) losses="5.0, 2.0" ;; esac
cat > "$file" <<END
{"cases": [{"case": "$1", "images_per_s": 2.0, "flops_per_s": 6.0, "peak_memory_bytes": 5, "losses": [$losses]},
           {"case": "products", "flops_per_s": 8.0}]}
END
"""

TESTS = """#!/bin/sh
case "$*" in *list_tests*) [ "$#" = 2 ] && printf 'Suite.\\n  Case\\n'; exit;; esac
[ "$IBOT_DEVICE" = cpu ]
"""


class GpuCheck(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        for name, text in (("ibot-bench", STAND_IN), ("ibot_train_tests", TESTS)):
            (self.folder / name).write_text(text)
            (self.folder / name).chmod(0o755)

    def check(self, *words):
        command = [ROOT / "scripts" / "gpu_check.sh", *words]
        environment = dict(os.environ, PATH="/usr/bin:/bin:" + os.environ["PATH"])
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment)

    def test_each_step_is_a_line_and_the_rest_goes_on(self):
        out = self.folder / "out"
        done = self.check("--quick", "--device", "cpu", "--programs", self.folder, "--step-limit", "5", out)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        check = json.loads((out / "check.json").read_text())
        results = {step["step"]: step["result"] for step in check["steps"]}
        self.assertEqual(results["profile"], "failed: status 1: error: profile: no profiler")
        self.assertEqual(results["knn"], "failed: time limit of 5 s")
        self.assertEqual(results["goldens"], "left out: ibot_core_tests not found")
        self.assertEqual(results["official"], "left out: no --official")
        for step in ("version", "goldens_step", "resume", "curve_bf16", "step_vit_tiny_fp32_1", "features"):
            self.assertEqual(results[step], "done", step)
        self.assertEqual(check["speed"][0]["of_products"], 0.75)
        away = {curve["precision"]: curve["away"] for curve in check["curves"]}
        self.assertEqual(away, {"fp32": 0.0, "bf16": 0.125})
        text = (out / "check.md").read_text()
        self.assertIn("| vit_tiny | fp32 | 1 |", text)
        self.assertIn("| profile | 0 | failed: status 1: error: profile: no profiler |", text)

    def test_refusals(self):
        for words, message in ((("--minutes", "0", "out"), "--minutes: expected a whole number above 0, got 0"),
                               (("--minutes",), "--minutes: expected a value"), ((), "OUT: expected a folder"),
                               (("--fast", "out"), "--fast: no such option"),
                               (("--programs", self.folder, "--official", self.folder, "out"), "no main_ibot.py"),
                               (("--programs", self.folder, "--data", "nowhere", "out"), "nowhere: expected a folder")):
            done = self.check(*words)
            self.assertEqual(done.returncode, 2, words)
            self.assertIn("error: ", done.stderr)
            self.assertIn(message, done.stderr)


if __name__ == "__main__":
    unittest.main()
