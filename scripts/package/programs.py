"""Starts a program of this package with the LibTorch of the torch package, which is not imported."""
import importlib.util
import os
import pathlib
import sys


def start():
    """The program that this script is named after takes the place of this process."""
    torch = importlib.util.find_spec("torch")
    if torch is None:
        sys.exit("error: LibTorch: expected the package torch beside ibot, found none; reinstall ibot with pip")
    folder = pathlib.Path(torch.submodule_search_locations[0])
    folders = [folder / "lib", *folder.parent.glob("nvidia/*/lib")]
    inherited = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = ":".join([*map(str, folders), *([inherited] if inherited else [])])
    program = pathlib.Path(__file__).parent / "libexec" / "ibot" / pathlib.Path(sys.argv[0]).name
    os.execv(program, [str(program), *sys.argv[1:]])
