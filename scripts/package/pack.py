"""Makes an installed tree independent of the machine, then an archive or a wheel of it. Called by scripts/package.sh.

    pack.py BUILD STAGE OUTPUT [--wheel]

STAGE/tree is the installed tree.
"""
import argparse
import json
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile

HERE = pathlib.Path(__file__).parent
# The system's: glibc, whose version the machine decides, and what must be one with it.
SYSTEM = re.compile(r"(ld-linux|lib(c|m|dl|rt|pthread|util|resolv|anl|mvec|stdc\+\+|gcc_s)\.so)")
# LibTorch's and the driver's.
TORCH = re.compile(r"lib(torch|c10|cuda\.so|nvidia-ml\.so)")


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def needed_libraries(program, torch):
    """{name: path} of what `program` loads, but LibTorch with its neighbors and the system's."""
    found = {}
    for line in run("ldd", program).splitlines():
        match = re.match(r"\s*(\S+) => (\S+)", line)
        if not match or TORCH.match(match[1]):
            continue
        name, path = match[1], pathlib.Path(match[2])
        if match[2] == "not":
            sys.exit(f"error: {program.name}: {name} is not found; build first")
        in_system = path.is_relative_to("/lib") or path.is_relative_to("/usr/lib") or path.is_relative_to("/lib64")
        of_torch = any(path.resolve().is_relative_to(folder) for folder in (torch, torch.parent / "nvidia"))
        if of_torch or (SYSTEM.match(name) and in_system):
            continue
        found[name] = path.resolve()
    return found


def bundle(tree, build, torch):
    """Copies the libraries into lib/ibot and lets them and the programs look there."""
    folder = tree / "lib/ibot"
    programs = sorted(path for path in (tree / "libexec/ibot").iterdir() if (build / "bin" / path.name).exists())
    libraries = {}
    for program in programs:
        libraries |= needed_libraries(build / "bin" / program.name, torch)
    folder.mkdir(parents=True)
    for name, path in sorted(libraries.items()):
        shutil.copy(path, folder / name)
        (folder / name).chmod(0o755)
        run("patchelf", "--set-rpath", "$ORIGIN", folder / name)
    for program in programs:
        run("patchelf", "--set-rpath", "$ORIGIN/../../lib/ibot", program)
    (tree / "libexec/ibot/torch-folder").unlink()
    return [*programs, *folder.iterdir()]


def least_glibc(files):
    """The newest version of glibc whose symbols the files use, as (2, 36)."""
    versions = set()
    for file in files:
        versions |= {tuple(map(int, found)) for found in re.findall(r"GLIBC_(\d+)\.(\d+)", run("readelf", "-V", file))}
    return max(versions)


def make_archive(tree, name, output):
    folder = output / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.move(tree, folder)
    with tarfile.open(output / f"{name}.tar.gz", "w:gz", compresslevel=6) as archive:
        archive.add(folder, name)
    return f"{folder}/ and {output / name}.tar.gz"


def make_wheel(stage, facts, tag, output):
    """A wheel with the tree inside the package `ibot`, whose entry points start the programs."""
    project = stage / "project"
    package = project / "ibot"
    package.mkdir(parents=True)
    for part in ("libexec", "lib", "share"):
        shutil.move(stage / "tree" / part, package / part)
    (package / "libexec/ibot/launch").unlink()
    names = sorted(path.name for path in (package / "libexec/ibot").iterdir())
    shutil.copy(HERE / "programs.py", package / "programs.py")
    (package / "__init__.py").write_text('"""The programs of ibot; see ibot.programs."""\n')
    shutil.copy(HERE.parent.parent / "README.md", project)
    scripts = "\n".join(f'{name} = "ibot.programs:start"' for name in names)
    text = (HERE / "pyproject.toml.in").read_text()
    for key, value in {"version": facts["version"], "torch": facts["torch"], "scripts": scripts}.items():
        text = text.replace(f"@{key}@", value)
    (project / "pyproject.toml").write_text(text)
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(stage / "wheel")],
                   cwd=project, check=True, capture_output=True)
    made = next((stage / "wheel").iterdir())
    run(sys.executable, "-m", "wheel", "tags", "--remove", "--platform-tag", tag, made)
    made = next((stage / "wheel").iterdir())
    shutil.move(made, output / made.name)
    return output / made.name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("stage", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--wheel", action="store_true")
    arguments = parser.parse_args()
    facts = json.loads((arguments.build / "install/package.json").read_text())
    if facts["cuda"] == "ON":
        facts["version"] += "+cuda"
    tree = arguments.stage / "tree"
    glibc = least_glibc(bundle(tree, arguments.build, pathlib.Path(facts["torch_folder"])))
    arch = platform.machine()
    if arguments.wheel:
        made = make_wheel(arguments.stage, facts, f"manylinux_{glibc[0]}_{glibc[1]}_{arch}", arguments.output)
    else:
        made = make_archive(tree, f"ibot-{facts['version']}-linux-{arch}", arguments.output)
    print(f"{made}: glibc {glibc[0]}.{glibc[1]} or later, LibTorch {facts['torch']}")


main()
