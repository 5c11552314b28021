"""scripts/unpack_packages.sh with packages built here, by a stand-in for apt-get's downloads."""

import pathlib
import platform
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
ARCH = f"{platform.machine()}-linux-gnu"
# Copies every package made by the test where the script expects downloads.
APT_GET = """#!/bin/sh
for word; do case $word in Dir::Cache=*) cache=${word#*=} ;; esac; done
case " $* " in *" install "*) cp @PACKAGES@/*.deb "$cache/archives/" ;; esac
"""


@unittest.skipUnless(shutil.which("dpkg-deb"), "packages of Debian need dpkg-deb")
class UnpackPackages(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        for name in ("clone/scripts", "bin", "packages"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "unpack_packages.sh", self.folder / "clone" / "scripts")
        apt_get = self.folder / "bin" / "apt-get"
        apt_get.write_text(APT_GET.replace("@PACKAGES@", str(self.folder / "packages")))
        apt_get.chmod(0o755)

    def package(self, name, links):
        tree = self.folder / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: ibot\nDescription: for a test\n")
        libraries = tree / "usr" / "lib" / ARCH
        libraries.mkdir(parents=True)
        for link, target in links.items():
            (libraries / link).symlink_to(target)
        subprocess.run(["dpkg-deb", "--build", tree, self.folder / "packages"], check=True, capture_output=True)

    def unpack(self, *names):
        subprocess.run(["bash", self.folder / "clone" / "scripts" / "unpack_packages.sh", *names], check=True,
                       capture_output=True, env={"PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"})
        return self.folder / "clone" / ".deps" / "system" / "usr" / "lib" / ARCH

    # A system with the library but without its headers: CMake files of the package name both below one folder.
    def test_finds_the_systems_library_beside_unpacked_links(self):
        system = pathlib.Path("/usr/lib") / ARCH / "libstdc++.so.6"
        self.package("with-dev", {"libstdc++.so": "libstdc++.so.6", "libnone.so": "libnone.so.1"})
        libraries = self.unpack("with-dev")
        for name in ("libstdc++.so", "libstdc++.so.6", system.resolve().name):
            self.assertEqual((libraries / name).resolve(), system.resolve())
        self.assertFalse((libraries / "libnone.so.1").exists())
        self.assertEqual((libraries.parents[2] / "packages").read_text(), "with-dev\n")


if __name__ == "__main__":
    unittest.main()
