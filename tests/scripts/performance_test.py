"""scripts/performance.py and scripts/bench_reference.py on a stand-in for ibot-bench."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from bench import groups, svg, tables, turns  # noqa: E402

# Prints and writes two cases; refuses bf16.
STAND_IN = """#!/usr/bin/env python3
import json, sys
if "--version" in sys.argv:
    print("ibot-bench 7")
    sys.exit()
if "train.precision=bf16" in sys.argv:
    sys.exit("error: train.precision: expected fp32, got bf16")
cases = [{"case": "step", "median_s": 3.0, "user_s": 2.0}, {"case": "clip", "median_s": 1.0, "user_s": 0.5, "bytes_per_s": 1.5e9},
         {"case": "copy", "median_s": 0.1, "user_s": 0.1, "bytes_per_s": 6e9}]
open(sys.argv[sys.argv.index("--json") + 1], "w").write(json.dumps({"command": " ".join(sys.argv), "cases": cases}))
"""


def comparison(batch, peer_bytes, our_bytes):
    side = {"images_per_s": 1.0, "median_s": 1.0, "user_s": 1.0}
    rounds = [{"peer": {**side, "peak_memory_bytes": peer_bytes}, "ours": {**side, "peak_memory_bytes": our_bytes}}]
    return {"record": {"comparisons": [{"batch": batch, "rounds": rounds}]}}


class Performance(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.bench = self.folder / "ibot-bench"
        self.bench.write_text(STAND_IN)
        self.bench.chmod(0o755)

    def script(self, *words):
        command = [sys.executable, ROOT / "scripts" / words[0], *words[1:]]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True)

    def test_a_command_that_fails_is_a_line_and_the_rest_goes_on(self):
        done = self.script("performance.py", "measure", "ops", "--bench", self.bench, "--records", self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("left out: error: train.precision: expected fp32, got bf16", done.stdout)
        record = json.loads((self.folder / "ops.json").read_text())
        self.assertEqual([run["label"] for run in record["runs"]], ["fp32"])
        self.assertNotIn(str(self.folder), (self.folder / "ops.json").read_text())

        (self.folder / "template.md").write_text("A\n{{#ops}}\n{{source}}\n{{table}}\n{{/ops}}\n{{#knn}}\nB\n{{/knn}}\n{{^knn}}\nNo k-NN\n{{/knn}}\n")
        document = self.folder / "document.md"
        done = self.script("performance.py", "write", "--records", self.folder, "--document", document)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = document.read_text()
        self.assertIn("`scripts/performance.py measure ops`", text)
        self.assertIn("| fp32 | clip | 500 | 25.0 % | 3.0 GB/s, 50 % of a copy's |", text)
        self.assertNotIn("B", text.replace("GB/s", ""))
        self.assertIn("No k-NN", text)

    def test_refusals(self):
        for words, message in (((), "step: expected --official DIR"),
                               (("--official", self.folder / "nowhere"), "nowhere: expected a folder"),
                               (("--official", self.folder, "--quick"), "--quick: expected --records DIR")):
            done = self.script("performance.py", "measure", "step", "--bench", self.bench, *words)
            self.assertEqual(done.returncode, 1)
            self.assertIn(message, done.stderr)
        done = self.script("performance.py", "measure", "ops", "--bench", self.folder / "none")
        self.assertIn("none: expected ibot-bench", done.stderr)

    def test_every_group_has_its_table(self):
        self.assertEqual(set(groups.GROUPS) - set(tables.TABLES), set())

    def test_memory_is_a_slope(self):
        runs = [{"label": f"fp32 {batch}", **comparison(batch, 1e9 + batch * 5e8, 1e9 + batch * 2e8)}
                for batch in (2, 10)]
        self.assertIn("| fp32 | 2 to 10 | 0.500 | 0.200 | 0.40 |", tables.memory({"runs": runs}))

    def test_spread(self):
        self.assertEqual(turns.spread([3.0, 1.0, 2.0]), {"median": 2.0, "least": 1.0, "most": 3.0})
        self.assertEqual(tables.ratio(turns.spread([1.5])), "1.50")

    def test_plots_are_xml_with_every_point(self):
        lines = {"a": [(1, 0.5), (10, 6.0), (1000, 70.0)], "b & c": [(1, 2.0)]}
        root = xml.etree.ElementTree.fromstring(svg.plot("t", "x", "y", lines))
        circles = root.findall("{http://www.w3.org/2000/svg}circle")
        self.assertEqual(len(circles), 4)
        heights = [float(circle.get("cy")) for circle in circles]
        self.assertEqual(heights[:3], sorted(heights[:3], reverse=True))

    def test_the_document_is_what_the_records_say(self):
        document = self.folder / "performance.md"
        records = ROOT / "docs" / "performance"
        done = self.script("performance.py", "write", "--document", document)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(document.read_text(), (ROOT / "docs" / "performance.md").read_text())
        for plot in re.findall(r"\((performance/[^)]*\.svg)\)", document.read_text()):
            self.assertEqual((self.folder / plot).read_text(), (ROOT / "docs" / plot).read_text(), plot)
        for file in records.glob("*.json"):
            self.assertNotRegex(file.read_text(), r"\"[^\"]*(^|[ =])/\w+/", file.name)


if __name__ == "__main__":
    unittest.main()
