"""scripts/check_layers.py on small trees with and without a fault."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "check_layers.py"
TABLE = """| room | library | what it holds | may include |
| --- | --- | --- | --- |
| base | core | x | |
| mask | core | x | base |
| config | config | x | base options |
"""


class CheckLayers(unittest.TestCase):
    def run_on(self, files, table=TABLE):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {"src/README.md": table, **files}.items():
                path = pathlib.Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
            return done.returncode, done.stdout

    def expect_fault(self, name, text, message):
        code, output = self.run_on({name: text})
        self.assertEqual(code, 1, output)
        self.assertIn(f"{name}:1: ", output)
        self.assertIn(message, output)

    def test_allowed_edges(self):
        code, output = self.run_on({
            "include/ibot/mask/m.h": '#include <vector>\n#include <torch/types.h>\n'
                                     '#include "ibot/base/error.h"\n#include "ibot/mask/n.h"\n',
            "include/ibot/config/c.h": '#include "ibot/mask/mask_options.h"\n',
            "src/mask/m.cpp": '#include <opencv2/core.hpp>\n#include "mask/detail.h"\n',
        })
        self.assertEqual(code, 0, output)

    def test_faults(self):
        self.expect_fault("include/ibot/base/b.h", '#include "ibot/mask/m.h"', "base may include")
        self.expect_fault("src/base/b.cpp", '#include "ibot/mask/m.h"', "base may include")
        self.expect_fault("src/config/c.cpp", '#include "ibot/mask/m.h"', "config may include")
        self.expect_fault("src/attic/a.cpp", '#include "ibot/base/b.h"', "missing from the table")
        self.expect_fault("include/ibot/mask/m.h", "#include <yaml-cpp/yaml.h>", "third-party")
        self.expect_fault("include/ibot/mask/m.h", "#include <zlib.h>", "third-party")
        self.expect_fault("include/ibot/mask/m.h", "#include <torch/torch.h>", "torch/torch.h")
        self.expect_fault("include/ibot/mask/m_options.h", '#include "ibot/mask/m.h"',
                          "an option header")

    def test_missing_table(self):
        code, output = self.run_on({}, table="no table")
        self.assertEqual(code, 1)
        self.assertIn("expected a table", output)


if __name__ == "__main__":
    unittest.main()
