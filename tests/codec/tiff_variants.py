"""Writes TIFF files of every layout that Pillow reads, each with Pillow's pixels beside it.

NAME.tif, and NAME.rgb: width and height as 32-bit numbers, then convert("RGB"); empty where Pillow
refuses the file. Usage: tiff_variants.py FOLDER
"""

import itertools
import pathlib
import struct
import sys
import warnings
import zlib

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, TiffImagePlugin

warnings.simplefilter("ignore")
folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(7)
SHORT, LONG, LONG8 = 3, 4, 16
RAW, DEFLATE = 1, 8


def write(path, order, tags, parts, tiled, big=False):
    """A TIFF of one directory by hand: `tags` maps numbers to lists, `parts` are strips or tiles."""
    e = {"II": "<", "MM": ">"}[order]
    word, code = ("Q", LONG8) if big else ("L", LONG)
    content = order.encode() + (struct.pack(e + "HHHQ", 43, 8, 0, 0) if big else struct.pack(e + "HL", 42, 0))
    offsets = []
    for part in parts:
        offsets.append(len(content))
        content += part + b"\0" * (len(part) % 2)
    tags = dict(tags)
    tags[324 if tiled else 273] = offsets
    tags[325 if tiled else 279] = [len(part) for part in parts]
    entries = b""
    for tag, values in sorted(tags.items()):
        kind, form = (code, word) if tag in (273, 279, 324, 325) else (SHORT, "H")
        if isinstance(values, bytes):
            kind, data = 1, values
        else:
            data = struct.pack(f"{e}{len(values)}{form}", *values)
        count = len(values)
        width = struct.calcsize(e + word)
        if len(data) > width:
            content += b"\0" * (len(content) % 2)
            field = struct.pack(e + word, len(content))
            content += data
        else:
            field = data.ljust(width, b"\0")
        entries += struct.pack(e + "HH" + word, tag, kind, count) + field
    content += b"\0" * (len(content) % 2)
    start = struct.pack(e + word, len(content))
    content = content[:8] + start + content[16:] if big else content[:4] + start + content[8:]
    count = struct.pack(e + ("Q" if big else "H"), len(tags))
    path.write_bytes(content + count + entries + struct.pack(e + word, 0))


def samples(shape, bits, kind, order):
    """Whole bytes of each sample, or 0 to 2^bits - 1 below 8 bits."""
    if kind == 3:
        return random.uniform(-50, 400, shape).astype({"II": "<f4", "MM": ">f4"}[order])
    values = random.integers(0, 2 ** bits, shape, dtype=np.uint64)
    if bits > 8:
        values = np.where(random.random(shape) < 0.5, values % 300, values)
    return values if bits in (1, 2, 4, 12) else values.astype({"II": "<u", "MM": ">u"}[order] + str(bits // 8))


def packed(row, bits):
    """One row of samples, the first in the highest bits."""
    if bits not in (1, 2, 4, 12):
        return row.tobytes()
    text = "".join(format(int(value), f"0{bits}b") for value in row.reshape(-1))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def cut(pixels, bits, part_height, part_width):
    """Parts of [H, W, C], the last ones padded in width, and in height where they are tiles."""
    height, width = pixels.shape[:2]
    for y in range(0, height, part_height):
        for x in range(0, width, part_width or width):
            part = pixels[y : y + part_height, x : x + (part_width or width)]
            if part_width:
                part = np.pad(part, ((0, part_height - part.shape[0]), (0, part_width - part.shape[1]), (0, 0)), mode="edge")
            yield b"".join(packed(row, bits) for row in part)


def file_of(path, key, pixels, compression, planar, tile, big=False, more={}):
    order, photometric, kind, fill, bits, extras = key
    height, width = pixels.shape[:2]
    rows = tile[0] if tile else 7
    planes = [pixels[..., c : c + 1] for c in range(pixels.shape[2])] if planar else [pixels]
    parts = [part for plane in planes for part in cut(plane, bits[0], rows, tile[1] if tile else 0)]
    if compression == DEFLATE:
        parts = [zlib.compress(part) for part in parts]
    tags = {256: [width], 257: [height], 258: list(bits), 259: [compression], 262: [photometric],
            266: [fill], 277: [len(bits)], 284: [2 if planar else 1], 339: list(kind) * len(bits)}
    if fill == 2:
        parts = [imagecodecs.bitorder_decode(part) for part in parts]
    tags.update({322: [tile[1]], 323: [tile[0]]} if tile else {278: [rows]})
    if extras:
        tags[338] = list(extras)
    if photometric == 3:
        tags[320] = palettes[bits[0]]
    tags.update(more)
    write(path, order, tags, parts, tile, big)


palettes = {bits: random.integers(0, 65536, 3 * 2 ** bits).tolist() for bits in (1, 2, 4, 8)}


def pillow(path):
    try:
        # As torchvision opens them: of a path Pillow maps the file, which fails where it is turned.
        with open(path, "rb") as file, Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except Exception:
        return None


def expect(name, pixels):
    content = b"" if pixels is None else struct.pack("<2I", pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
    (folder / (name + ".rgb")).write_bytes(content)


def every_layout():
    """Each layout that Pillow knows, in strips and tiles, as it is and deflated, in planes too."""
    for number, key in enumerate(TiffImagePlugin.OPEN_INFO):
        order, photometric, kind, _, bits, extras = key
        if photometric == 6 and len(bits) == 3:
            continue
        order = order.decode()
        key = (order,) + key[1:]
        pixels = samples((19, 21, len(bits)), bits[0], kind[0], order)
        ways = itertools.product((RAW, DEFLATE), (None, (16, 32)), (False, True))
        for compression, tile, planar in ways:
            name = f"layout{number:03}_{compression}{'_tiled' if tile else ''}{'_planar' if planar else ''}"
            path = folder / (name + ".tif")
            if planar and len(bits) == 1:
                continue
            file_of(path, key, pixels, compression, planar, tile, number % 3 == 0)
            # Where Pillow fails: the same pixels in one plane and as they are.
            if pillow(path) is None:
                path = folder / "twin.tif"
                file_of(path, key[:3] + (1,) + key[4:], pixels, RAW, False, tile)
            expect(name, pillow(path))


def tiles():
    """Sides that are a multiple of 16 and no power of two, the last tiles padded."""
    key = ("II", 2, (1,), 1, (8, 8, 8), ())
    y, x = np.mgrid[0:50, 0:52]
    pixels = (np.stack([3 * x, 5 * y, x + y], -1) % 256).astype(np.uint8)
    for side, compression in itertools.product((16, 48, 80, 112, 144, 240), (RAW, DEFLATE)):
        name = f"tiles{side}_{compression}"
        file_of(folder / (name + ".tif"), key, pixels, compression, False, (side, side))
        expect(name, pillow(folder / (name + ".tif")))


def padded_strips():
    """Files whose last strip has the rows of a whole one, as some programs write them."""
    pixels = random.integers(0, 256, (14, 21, 3), dtype=np.uint8)
    for height in (8, 9, 13, 14):
        tags = {256: [21], 257: [height], 258: [8] * 3, 259: [8], 262: [2], 277: [3], 278: [7]}
        name = f"padded{height}"
        write(folder / (name + ".tif"), "II", tags, [zlib.compress(pixels[:7].tobytes()), zlib.compress(pixels[7:].tobytes())], False)
        expect(name, pixels[:height])


def unknown_layouts():
    """Neighbors of those, which Pillow refuses."""
    for number, (photometric, kind, bits, extras, order) in enumerate([
        (1, 1, (8,) * 13, (0,) * 12, "II"), (2, 1, (16,) * 5, (0, 0), "II"), (1, 3, (16,), (), "II"),
        (1, 3, (64,), (), "II"), (1, 1, (64,), (), "II"), (1, 1, (8, 8), (1,), "II"), (1, 1, (32,), (), "MM"),
        (5, 1, (8,) * 5, (2,), "II"), (1, 1, (16, 16), (2,), "II"), (8, 1, (16,) * 3, (), "II"), (2, 2, (8,) * 3, (), "II"),
        (2, 1, (5, 6, 5), (), "II"), (1, 1, (24,), (), "II"), (9, 1, (8,) * 3, (), "II"), (1, 6, (64,), (), "II"),
    ]):
        name = f"unknown{number:02}"
        row = sum(bits) * 21 // 8 + 1
        tags = {256: [21], 257: [19], 258: list(bits), 259: [1], 262: [photometric], 277: [len(bits)], 278: [19],
                339: [kind] * len(bits)}
        if extras:
            tags[338] = list(extras)
        write(folder / (name + ".tif"), order, tags, [bytes(row * 19)], False)
        expect(name, pillow(folder / (name + ".tif")))


def orientations():
    key = ("II", 2, (1,), 1, (8, 8, 8), ())
    wide = ("II", 1, (1,), 1, (16,), ())
    pixels = samples((5, 9, 3), 8, 1, "II")
    gray = samples((5, 9, 1), 16, 1, "II")
    for number in range(10):
        for name, more in ((f"oriented{number}", {274: [number]}),
                           (f"oriented{number}_xmp", {700: b'<x tiff:Orientation="%d"/>' % number}),
                           (f"oriented{number}_both", {274: [number], 700: b"<tiff:Orientation>3</tiff:Orientation>"})):
            file_of(folder / (name + ".tif"), key, pixels, DEFLATE, False, None, more=more)
            expect(name, pillow(folder / (name + ".tif")))
        name = f"oriented{number}_gray"
        file_of(folder / (name + ".tif"), wide, gray, RAW, False, (16, 16), more={274: [number]})
        expect(name, pillow(folder / (name + ".tif")))


def ycbcr():
    """Color samples shared by blocks of pixels, deflated; Pillow reads none that are not compressed."""
    for number, (across, down, tile) in enumerate(itertools.product((1, 2, 4), (1, 2, 4), (None, (16, 32)))):
        width, height, rows = 37, 22, 8
        tags = {256: [width], 257: [height], 258: [8] * 3, 259: [8], 262: [6], 277: [3], 530: [across, down]}
        columns = tile[1] if tile else width
        lines = tile[0] if tile else rows
        tags.update({322: [tile[1]], 323: [tile[0]]} if tile else {278: [rows]})
        tall, broad = -(-height // lines), -(-width // columns)
        parts = []
        for index in range(tall * broad):
            held = lines if tile or index < tall - 1 else height - lines * (tall - 1)
            block = -(-columns // across) * -(-held // down) * (across * down + 2)
            parts.append(random.integers(0, 256, block, dtype=np.uint8).tobytes())
        name = f"ycbcr{number:02}"
        write(folder / (name + ".tif"), "II", tags, [zlib.compress(part) for part in parts], tile)
        expect(name, pillow(folder / (name + ".tif")))
        write(folder / (name + "_raw.tif"), "II", {**tags, 259: [1]}, parts, tile)
        if tile:
            (folder / (name + "_raw.tif")).unlink()
        else:
            expect(name + "_raw", pillow(folder / (name + ".tif")))


def compressions():
    """What tifffile writes: codecs, predictors, byte orders, tiles, planes, BigTIFF, several pages."""
    y, x = np.mgrid[0:40, 0:53]
    smooth = np.stack([4 * x, 5 * y, (x * y) // 9], -1) % 256
    number = 0
    for codec, dtype, predictor, form, order in itertools.product(
            (None, "packbits", "lzw", "deflate", "lzma", "zstd"), ("u1", "u2", "i2", "u4", "i4", "f4"),
            (False, True), ("gray", "rgb", "rgba", "planar", "tiled"), "<>"):
        color = form != "gray"
        if color and dtype not in ("u1", "u2") or predictor and codec in (None, "packbits"):
            continue
        pixels = smooth[..., 0] if not color else smooth
        if form == "rgba":
            pixels = np.concatenate([pixels, 255 - pixels[..., :1]], -1)
        if dtype == "u2" and color:
            pixels = pixels * 257
        if form == "planar":
            pixels = np.moveaxis(pixels, -1, 0)
        pixels = pixels.astype(order + dtype)
        if dtype == "f4":
            pixels = pixels * np.float32(1.37) - 20
        name = f"codec{number:03}"
        number += 1
        tifffile.imwrite(folder / (name + ".tif"), pixels, photometric="rgb" if color else "minisblack", compression=codec,
                         byteorder=order, planarconfig="separate" if form == "planar" else ("contig" if color else None),
                         predictor=predictor or None, rowsperstrip=None if form == "tiled" else 16,
                         tile=(32, 16) if form == "tiled" else None, bigtiff=number % 2 == 0)
        path = folder / (name + ".tif")
        if pillow(path) is None:
            path = folder / "twin.tif"
            pixels = np.moveaxis(pixels, 0, -1) if form == "planar" else pixels
            tifffile.imwrite(path, pixels, photometric="rgb" if color else "minisblack", byteorder=order)
        expect(name, pillow(path))


def tifffile_kinds():
    y, x = np.mgrid[0:40, 0:53]
    smooth = (np.stack([4 * x, 5 * y, (x * y) // 9], -1) % 256).astype(np.uint8)
    cases = {
        "pages": (np.stack([smooth, 255 - smooth]), {"photometric": "rgb"}),
        "volume": (np.stack([smooth[..., 0]] * 3), {"photometric": "minisblack"}),
        "premultiplied": (np.concatenate([smooth // 2, 255 - smooth[..., :1]], -1), {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        "jpeg_rgb": (smooth, {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"outcolorspace": "rgb"}}),
        "jpeg_ycbcr": (smooth, {"photometric": "rgb", "compression": "jpeg"}),
        "jpeg_subsampled": (smooth, {"photometric": "rgb", "compression": "jpeg", "subsampling": (2, 2), "tile": (32, 32)}),
        "jpeg_gray": (smooth[..., 0], {"photometric": "minisblack", "compression": "jpeg"}),
        "webp": (smooth, {"photometric": "rgb", "compression": "webp", "compressionargs": {"level": 101}}),
        "webp_tiled": (smooth, {"photometric": "rgb", "compression": "webp", "compressionargs": {"level": 101}, "tile": (32, 48)}),
        "jpeg2000": (smooth, {"photometric": "rgb", "compression": "jpeg2000"}),
        "jpegxl": (smooth, {"photometric": "rgb", "compression": "jpegxl"}),
        "lerc": (smooth, {"photometric": "rgb", "compression": "lerc"}),
        "half": (smooth[..., 0].astype("f2"), {"photometric": "minisblack"}),
        "double": (smooth[..., 0].astype("f8"), {"photometric": "minisblack"}),
        "int64": (smooth[..., 0].astype("i8"), {"photometric": "minisblack"}),
        "subifds": (smooth, {"photometric": "rgb", "subifds": 1}),
        "bands4": (np.moveaxis(np.concatenate([smooth, smooth[..., :1]], -1), -1, 0), {"photometric": "minisblack", "planarconfig": "separate"}),
    }
    for name, (pixels, options) in cases.items():
        with tifffile.TiffWriter(folder / (name + ".tif")) as file:
            file.write(pixels, **options)
            if name == "subifds":
                file.write(pixels[::2, ::2], photometric="rgb", subfiletype=1)
        # Pillow's wheels are without WebP in TIFF.
        path = folder / (name + ".tif")
        expect(name, tifffile.imread(path) if name.startswith("webp") else pillow(path))


def pillow_kinds():
    y, x = np.mgrid[0:40, 0:53]
    smooth = Image.fromarray((np.stack([4 * x, 5 * y, (x * y) // 9], -1) % 256).astype(np.uint8))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"):
        image = smooth.convert("RGB").convert(mode) if mode not in ("I;16", "I", "F") else smooth.convert("L").convert("I").convert(mode)
        for codec in (None, "group3", "group4", "tiff_ccitt", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg", "packbits",
                      "lzma", "zstd", "webp", "tiff_raw_16", "tiff_thunderscan"):
            name = f"pillow_{mode.replace(';', '')}_{codec}"
            path = folder / (name + ".tif")
            try:
                image.save(path, compression=codec, **({"quality": 80} if codec == "jpeg" else {}))
            except Exception:
                path.unlink(missing_ok=True)
                continue
            if mode == "YCbCr" and codec is None:
                path.unlink()
                continue
            expect(name, pillow(path))


every_layout()
tiles()
padded_strips()
unknown_layouts()
orientations()
ycbcr()
compressions()
tifffile_kinds()
pillow_kinds()
(folder / "twin.tif").unlink()
