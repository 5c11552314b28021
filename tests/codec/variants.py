"""Draws image files of many kinds into a folder; Pillow is the judge of their pixels.

  variants.py FOLDER [LIST]   LIST: names to draw, one a line; all without it

Beside NAME lies NAME.rgb, "WIDTH HEIGHT\\n" and the pixels of convert("RGB"), or NAME.refused where
Pillow refuses the file.
"""

import io
import os
import random
import struct
import sys
import warnings
import zlib

from PIL import Image

warnings.simplefilter("ignore")
files = {}
W, H = 17, 13


def noise(count, seed=0, bits=8):
    draw = random.Random(seed)
    return [draw.getrandbits(bits) for _ in range(count)]


def smooth(mode="RGB", width=W, height=H, seed=0):
    image = Image.new("RGB", (width, height))
    image.putdata([((9 * x + 17 * seed) % 256, (11 * y + 31 * seed) % 256, (x * y + 7 * seed) % 256)
                   for y in range(height) for x in range(width)])
    if mode == "RGBA":
        image.putalpha(Image.new("L", (width, height), 128))
        image.putpixel((0, 0), (200, 100, 50, 0))
        return image
    return image.convert(mode)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# PNG

def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def png(depth, color, interlace=0, width=W, height=H, palette=b"", before=(), after=(), limit=None,
        split=None, filters=5):
    channels = CHANNELS[color]
    values = noise(width * height * channels, seed=depth * 10 + color, bits=depth)
    if limit:
        values = [value % limit for value in values]
    if color == 0 and depth == 16:
        values = [value % 400 for value in values]
    raw = bytearray()
    rows = 0
    for x0, y0, dx, dy in PASSES if interlace else [(0, 0, 1, 1)]:
        for y in range(y0, height, dy):
            bits = []
            for x in range(x0, width, dx):
                at = (y * width + x) * channels
                for value in values[at:at + channels]:
                    bits.append(format(value, "0%db" % depth))
            if not bits:
                continue
            text = "".join(bits)
            text += "0" * (-len(text) % 8)
            # Filters of noise make other noise, as good as any.
            raw.append(rows % filters)
            rows += 1
            raw += bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))
    data = zlib.compress(bytes(raw))
    parts = [data] if not split else [data[i:i + split] for i in range(0, len(data), split)]
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))
            + b"".join(before) + palette + b"".join(chunk(b"IDAT", part) for part in parts)
            + b"".join(after) + chunk(b"IEND", b""))


def table(count, seed=3):
    return chunk(b"PLTE", bytes(noise(3 * count, seed)))


for color, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 4: (8, 16), 6: (8, 16)}.items():
    for depth in depths:
        for interlace in (0, 1):
            files["png_%d_%d_%d.png" % (color, depth, interlace)] = png(depth, color, interlace)
for depth in (1, 2, 4, 8):
    for interlace in (0, 1):
        files["png_3_%d_%d.png" % (depth, interlace)] = png(depth, 3, interlace, palette=table(1 << depth))
files["png_short_palette.png"] = png(8, 3, palette=table(7))
files["png_short_palette4.png"] = png(4, 3, palette=table(5))
files["png_palette_alpha.png"] = png(8, 3, palette=table(16) + chunk(b"tRNS", bytes(range(0, 160, 10))), limit=16)
files["png_palette_clear.png"] = png(4, 3, palette=table(16) + chunk(b"tRNS", b"\xff\x00\xff"))
files["png_gray_key.png"] = png(8, 0, before=[chunk(b"tRNS", b"\0\x40")])
files["png_gray1_key.png"] = png(1, 0, before=[chunk(b"tRNS", b"\0\1")])
files["png_gray16_key.png"] = png(16, 0, before=[chunk(b"tRNS", b"\0\x40")])
files["png_rgb_key.png"] = png(8, 2, before=[chunk(b"tRNS", b"\0\x40\0\x50\0\x60")])
files["png_rgb16_key.png"] = png(16, 2, before=[chunk(b"tRNS", b"\0\x40\0\x50\0\x60")])
files["png_gamma.png"] = png(8, 2, before=[chunk(b"gAMA", struct.pack(">I", 10000))])
files["png_gray_gamma.png"] = png(4, 0, before=[chunk(b"gAMA", struct.pack(">I", 10000)), chunk(b"sBIT", b"\3")])
files["png_srgb.png"] = png(8, 6, before=[chunk(b"sRGB", b"\0"), chunk(b"bKGD", b"\0\xff\0\0\0\0")])
files["png_profile.png"] = png(8, 2, before=[chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile"))])
files["png_background.png"] = png(8, 4, before=[chunk(b"bKGD", b"\0\xff")])
files["png_suggested.png"] = png(8, 2, before=[table(12)])
files["png_split.png"] = png(8, 2, split=100)
files["png_split_empty.png"] = png(8, 2, split=90).replace(chunk(b"IEND", b""), chunk(b"IDAT", b"") + chunk(b"IEND", b""))
files["png_after.png"] = png(8, 2, after=[chunk(b"tEXt", b"a\0b"), chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0")])
for size in ((1, 1), (2, 3), (5, 1), (1, 9), (8, 8), (33, 2)):
    files["png_%dx%d.png" % size] = png(2, 0, 1, *size)
    files["png_%dx%d_color.png" % size] = png(8, 6, 1, *size)
whole = png(8, 2, filters=1)
for missing in (1, 4, 8, 11, 12, 13, 16, 17, 18, 19, 20, 21, 22, 40):
    files["png_cut_%d.png" % missing] = whole[:-missing]
whole = png(4, 3, 1, palette=table(16))
for missing in (12, 14, 17, 20, 21, 24, 60):
    files["png_interlaced_cut_%d.png" % missing] = whole[:-missing]
animation = io.BytesIO()
smooth().save(animation, "PNG", save_all=True, append_images=[smooth(seed=1), smooth(seed=2)])
files["png_animated.png"] = animation.getvalue()
animation = io.BytesIO()
smooth().save(animation, "PNG", save_all=True, default_image=True, append_images=[smooth(seed=1), smooth(seed=2)])
files["png_default_image.png"] = animation.getvalue()
for bad in ((8, 1), (3, 0), (4, 2), (16, 3), (2, 6)):
    header = struct.pack(">IIBBBBB", W, H, bad[0], bad[1], 0, 0, 0)
    files["png_bad_%d_%d.png" % bad] = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")

# WebP

for mode in ("RGB", "RGBA", "L", "P"):
    for lossless in (False, True):
        files["webp_%s_%d.webp" % (mode, lossless)] = saved(smooth(mode), "WEBP", lossless=lossless, quality=60, exact=True)
files["webp_large.webp"] = saved(smooth(width=129, height=67), "WEBP", quality=80, method=4)
files["webp_hidden.webp"] = saved(smooth("RGBA"), "WEBP", lossless=True)
files["webp_profile.webp"] = saved(smooth(), "WEBP", icc_profile=b"profile", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
for lossless in (False, True):
    for mode in ("RGB", "RGBA"):
        frames = [smooth(mode, seed=i) for i in range(3)]
        files["webp_animated_%s_%d.webp" % (mode, lossless)] = saved(
            frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=lossless, background=(255, 0, 0, 255))


def webp_frame(x, y, inner, canvas, flags, alpha=0x10, blend=0):
    inner = inner[12:]
    if inner[:4] == b"VP8X":
        inner = inner[18:]
    frame = struct.pack("<I", x // 2)[:3] + struct.pack("<I", y // 2)[:3]
    frame += struct.pack("<I", 6)[:3] + struct.pack("<I", 4)[:3] + struct.pack("<I", 100)[:3] + bytes([blend])
    frame += inner
    head = bytes([flags | alpha, 0, 0, 0]) + struct.pack("<I", canvas[0] - 1)[:3] + struct.pack("<I", canvas[1] - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + head + b"ANIM" + struct.pack("<I", 6) + b"\x10\x20\x30\xff\0\0"
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


for lossless in (False, True):
    for mode in ("RGB", "RGBA"):
        inner = saved(smooth(mode, 7, 5), "WEBP", lossless=lossless, exact=True)
        for blend in (0, 2):
            files["webp_offset_%s_%d_%d.webp" % (mode, lossless, blend)] = webp_frame(4, 2, inner, (16, 12), 2, blend=blend)
whole = files["webp_RGB_0.webp"]
for missing in (1, 2, 10, 100):
    files["webp_cut_%d.webp" % missing] = whole[:-missing]
files["webp_trailing.webp"] = whole + b"rest"
whole = files["webp_animated_RGB_0.webp"]
files["webp_animated_cut.webp"] = whole[:-5]
files["webp_outside.webp"] = webp_frame(12, 2, saved(smooth("RGB", 7, 5), "WEBP"), (16, 12), 2)

# GIF


def gif(screen, frame, pixels, shared=None, local=None, transparent=None, interlace=False, bits=7,
        background=0, extra=b"", version=b"GIF89a"):
    def flags(colors):
        return 0 if colors is None else 0x80 | (len(colors) // 3).bit_length() - 2

    out = version + struct.pack("<HHBBB", screen[0], screen[1], flags(shared), background, 0) + (shared or b"")
    out += extra
    if transparent is not None:
        out += b"!\xf9\x04" + bytes([1, 0, 0, transparent]) + b"\0"
    out += b"," + struct.pack("<HHHHB", *frame, flags(local) | (0x40 if interlace else 0)) + (local or b"")
    stream, count, data = 0, 0, b""
    codes = []
    for i, pixel in enumerate(pixels):
        if i % ((1 << bits) - 4) == 0:
            codes.append(1 << bits)
        codes.append(pixel)
    for code in codes + [(1 << bits) + 1]:
        stream |= code << count
        count += bits + 1
        while count >= 8:
            data += bytes([stream & 255])
            stream >>= 8
            count -= 8
    if count:
        data += bytes([stream & 255])
    out += bytes([bits])
    for i in range(0, len(data), 255):
        out += bytes([len(data[i:i + 255])]) + data[i:i + 255]
    return out + b"\0;"


RAMP = bytes(value for i in range(16) for value in (i, i, i))
SHARED = bytes(noise(48, 1))
LOCAL = bytes(noise(48, 2))
full = [value % 16 for value in noise(W * H, 5)]
small = [value % 16 for value in noise(7 * 5, 6)]
for name, shared in (("none", None), ("ramp", RAMP), ("shared", SHARED)):
    for other, local in (("none", None), ("ramp", RAMP), ("local", LOCAL)):
        for clear in (None, 3, 200):
            tag = "%s_%s_%s" % (name, other, clear)
            files["gif_%s.gif" % tag] = gif((W, H), (0, 0, W, H), full, shared, local, clear)
            files["gif_small_%s.gif" % tag] = gif((W, H), (3, 2, 7, 5), small, shared, local, clear, background=5)
files["gif_interlaced.gif"] = gif((W, H), (0, 0, W, H), full, SHARED, interlace=True)
files["gif_interlaced_small.gif"] = gif((W, H), (1, 1, 7, 5), small, SHARED, interlace=True)
files["gif_interlaced_row.gif"] = gif((W, 1), (0, 0, W, 1), full[:W], SHARED, interlace=True)
files["gif_grown.gif"] = gif((5, 4), (3, 2, 7, 5), small, SHARED)
files["gif_no_screen.gif"] = gif((0, 0), (0, 0, 7, 5), small, SHARED)
files["gif_beyond.gif"] = gif((7, 5), (0, 0, 7, 5), [value + 30 for value in small], SHARED)
files["gif_gray_beyond.gif"] = gif((7, 5), (0, 0, 7, 5), [value + 30 for value in small])
files["gif_extensions.gif"] = gif((7, 5), (0, 0, 7, 5), small, SHARED, version=b"GIF87a",
                                  extra=b"!\xfe\x02hi\0!\xff\x0bNETSCAPE2.0\x03\1\0\0\0!\xf9\x04\1\0\0\2\0")
files["gif_two_controls.gif"] = gif((W, H), (3, 2, 7, 5), small, SHARED, extra=b"!\xf9\x04\1\0\0\2\0!\xf9\x04\0\0\0\4\0")
files["gif_bits2.gif"] = gif((7, 5), (0, 0, 7, 5), [value % 4 for value in small], SHARED[:12], bits=2 + 1)
files["gif_fewer.gif"] = gif((W, H), (0, 0, W, H), full[:-20], SHARED)
files["gif_more.gif"] = gif((7, 5), (0, 0, 7, 5), full, SHARED)
whole = gif((W, H), (0, 0, W, H), full, SHARED)
for missing in (1, 2, 3, 4, 10, 100):
    files["gif_cut_%d.gif" % missing] = whole[:-missing]
files["gif_no_frame.gif"] = whole[:13 + 48] + b";"
files["gif_large.gif"] = saved(smooth("P", 200, 150), "GIF")
files["gif_large_interlaced.gif"] = saved(smooth("P", 90, 70), "GIF", interlace=1)
files["gif_noise.gif"] = saved(Image.frombytes("L", (150, 100), bytes(noise(15000, 8))), "GIF")
frames = [smooth("P", seed=i) for i in range(3)]
files["gif_animated.gif"] = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=3, disposal=2)

# BMP


def bmp(bits, height=H, header=40, compression=0, colors=0, masks=(), palette=b"", data=None, width=W, offset=None, row=None):
    stride = (abs(width) * bits + 31) // 32 * 4
    if data is None:
        data = bytes(noise(stride * abs(height), bits))
    core = header == 12
    info = struct.pack("<IHHHH", 12, width, height, 1, bits) if core else struct.pack(
        "<IiiHHIIiiII", header, width, height, 1, bits, compression, len(data), 2835, 2835, colors, 0)
    mask = b"".join(struct.pack("<I", m) for m in masks)
    info = (info + mask).ljust(header, b"\0")
    at = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at if offset is None else offset) + info + palette + data


def colors(count, size=4, seed=4):
    return b"".join(bytes(noise(3, seed * 1000 + i)) + b"\0" * (size - 3) for i in range(count))


for bits in (1, 4, 8, 16, 24, 32):
    palette = colors(1 << bits) if bits <= 8 else b""
    for header in (40, 52, 56, 64, 108, 124):
        files["bmp_%d_%d.bmp" % (bits, header)] = bmp(bits, header=header, palette=palette)
    files["bmp_%d_down.bmp" % bits] = bmp(bits, height=-H, palette=palette)
    files["bmp_%d_core.bmp" % bits] = bmp(bits, header=12, palette=colors(1 << bits, 3) if bits <= 8 else b"")
    files["bmp_%d_narrow.bmp" % bits] = bmp(bits, width=1, palette=palette)
    whole = bmp(bits, palette=palette)
    for missing in (1, 2, 3, 4, 30):
        files["bmp_%d_cut_%d.bmp" % (bits, missing)] = whole[:-missing]
files["bmp_gray.bmp"] = bmp(8, palette=bytes(v for i in range(256) for v in (i, i, i, 0)))
files["bmp_gray_short.bmp"] = bmp(8, colors=16, palette=bytes(v for i in range(16) for v in (i, i, i, 0)))
files["bmp_black_white.bmp"] = bmp(1, palette=b"\0\0\0\0\xff\xff\xff\0")
files["bmp_white_black.bmp"] = bmp(1, palette=b"\xff\xff\xff\0\0\0\0\0")
files["bmp_short_palette.bmp"] = bmp(8, colors=20, palette=colors(20))
files["bmp_short_palette4.bmp"] = bmp(4, colors=5, palette=colors(5))
files["bmp_offset_forgotten.bmp"] = bmp(8, palette=colors(256), offset=54)
files["bmp_offset_none.bmp"] = bmp(24, offset=0)
files["bmp_offset_none8.bmp"] = bmp(8, palette=colors(256), offset=0)
for i, (bits, masks) in enumerate([
        (32, (0xFF0000, 0xFF00, 0xFF, 0x0)), (32, (0xFF000000, 0xFF0000, 0xFF00, 0x0)),
        (32, (0xFF000000, 0xFF00, 0xFF, 0x0)), (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
        (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)), (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, (0xFF000000, 0xFF00, 0xFF, 0xFF0000)), (32, (0, 0, 0, 0)), (32, (0xFF, 0xFF00, 0xFF0000, 0)),
        (32, (0x3FF, 0xFFC00, 0x3FF00000, 0)), (24, (0xFF0000, 0xFF00, 0xFF)), (24, (0xFF, 0xFF00, 0xFF0000)),
        (16, (0xF800, 0x7E0, 0x1F)), (16, (0x7C00, 0x3E0, 0x1F)), (16, (0xF00, 0xF0, 0xF)), (8, (1, 2, 3))]):
    for header in (40, 52, 56, 108, 124):
        if header == 40:
            files["bmp_masks_%d_40.bmp" % i] = bmp(bits, compression=3, data=struct.pack("<III", *masks[:3]) + bytes(noise(W * H * 4 + H * 4, i)), offset=66)
        else:
            files["bmp_masks_%d_%d.bmp" % (i, header)] = bmp(bits, header=header, compression=3, masks=masks)
for compression in (4, 5, 6):
    files["bmp_compression_%d.bmp" % compression] = bmp(24, compression=compression)
files["bmp_header_16.bmp"] = bmp(24).replace(struct.pack("<I", 40), struct.pack("<I", 16), 1)
files["bmp_bits_2.bmp"] = bmp(2, palette=colors(4))
files["bmp_bits_64.bmp"] = bmp(64)


def runs(four, width=W, height=H, seed=0, how="mixed"):
    draw = random.Random(seed)
    out = bytearray()
    for y in range(height):
        x = 0
        while x < width:
            left = width - x
            if how == "mixed" and left >= 4 and draw.random() < 0.5:
                count = min(left, draw.choice((4, 6, 8)))
                count -= count % 2
                size = count // 2 if four else count
                out += bytes([0, count]) + bytes(draw.getrandbits(8) for _ in range(size)) + b"\0" * (size % 2)
            elif how == "odd" and left >= 5 and draw.random() < 0.5:
                count = 5
                size = 3 if four else count
                out += bytes([0, count]) + bytes(draw.getrandbits(8) for _ in range(size)) + b"\0" * (size % 2)
            else:
                count = min(left, draw.randint(1, 9))
                out += bytes([count if how != "long" else count + 3, draw.getrandbits(8)])
            x += count
        out += b"\0\0"
    return bytes(out) + b"\0\1"


for four, bits, kind in ((True, 4, 2), (False, 8, 1)):
    palette = colors(1 << bits)
    for how in ("mixed", "plain", "long", "odd"):
        for seed in (0, 1):
            files["bmp_runs_%d_%s_%d.bmp" % (bits, how, seed)] = bmp(bits, compression=kind, palette=palette, data=runs(four, seed=seed, how=how))
    files["bmp_runs_%d_down.bmp" % bits] = bmp(bits, height=-H, compression=kind, palette=palette, data=runs(four))
    files["bmp_runs_%d_early.bmp" % bits] = bmp(bits, compression=kind, palette=palette, data=runs(four)[:60] + b"\0\1")
    files["bmp_runs_%d_cut.bmp" % bits] = bmp(bits, compression=kind, palette=palette, data=runs(four)[:60])
    files["bmp_runs_%d_skip.bmp" % bits] = bmp(bits, compression=kind, palette=palette, data=b"\x05\x12\0\2\3\2" + b"\x05\x34\0\0" + runs(four))
    files["bmp_runs_%d_gray.bmp" % bits] = bmp(bits, compression=kind, palette=bytes(v for i in range(1 << bits) for v in (i, i, i, 0)), data=runs(four))
    files["bmp_runs_%d_unended.bmp" % bits] = bmp(bits, compression=kind, palette=palette, data=runs(four)[:-2])
    files["bmp_runs_%d_rows.bmp" % bits] = bmp(bits, compression=kind, palette=palette, data=b"\0\0" * 3 + runs(four))
for mode in ("1", "L", "P", "RGB", "RGBA"):
    files["bmp_saved_%s.bmp" % mode] = saved(smooth(mode), "BMP")

# PNM

for kind, bands in ((b"P2", 1), (b"P3", 3)):
    for largest in (1, 3, 10, 100, 255, 256, 1000, 65535):
        draw = random.Random(largest)
        values = [min(draw.choice((draw.randint(0, largest), draw.randint(0, 300))), largest) for _ in range(W * H * bands)]
        text = kind + b"\n# a comment\n%d %d\r# more\r%d\n" % (W, H, largest) + b" ".join(b"%d" % v for v in values)
        files["pnm_plain_%d_%d.ppm" % (bands, largest)] = text
        raw = (b"P5" if bands == 1 else b"P6") + b" %d %d %d\n" % (W, H, largest)
        raw += b"".join(struct.pack(">H" if largest > 255 else ">B", v) for v in values)
        files["pnm_raw_%d_%d.ppm" % (bands, largest)] = raw
        files["pnm_raw_cut_%d_%d.ppm" % (bands, largest)] = raw[:-1]
        files["pnm_raw_above_%d_%d.ppm" % (bands, largest)] = raw[:-2] + b"\xff\xff"
        files["pnm_plain_above_%d_%d.ppm" % (bands, largest)] = text + b"1"
bits = noise(W * H, 1, 1)
files["pnm_bits_plain.pbm"] = b"P1 %d %d\n" % (W, H) + b"".join(b"%d" % b for b in bits)
files["pnm_bits_spaced.pbm"] = b"P1\n%d\n%d\n" % (W, H) + b" ".join(b"%d" % b for b in bits) + b"\n# end\n"
files["pnm_bits_other.pbm"] = b"P1 %d %d\n" % (W, H) + b"2" * (W * H)
files["pnm_bits_raw.pbm"] = b"P4 %d %d\n" % (W, H) + bytes(noise(3 * H, 2))
files["pnm_bits_cut.pbm"] = files["pnm_bits_raw.pbm"][:-1]
floats = [random.Random(5).uniform(-50, 400) for _ in range(W * H - 6)] + [float("nan"), float("inf"), -float("inf"), 254.99, 0.5, 255.5]
files["pnm_float_little.pfm"] = b"Pf\n%d %d\n-1.0\n" % (W, H) + struct.pack("<%df" % (W * H), *floats)
files["pnm_float_big.pfm"] = b"Pf\n%d %d\n2.5\n" % (W, H) + struct.pack(">%df" % (W * H), *floats)
files["pnm_float_cut.pfm"] = files["pnm_float_little.pfm"][:-1]
files["pnm_float_none.pfm"] = files["pnm_float_little.pfm"].replace(b"-1.0", b"0.00")
files["pnm_float_color.pfm"] = b"PF\n2 1\n-1.0\n" + bytes(24)
files["pnm_any.pam"] = b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nabc"
files["pnm_largest_0.pgm"] = b"P5 1 1 0\n\0"
files["pnm_largest_65536.pgm"] = b"P5 1 1 65536\n\0\0"
files["pnm_saved_16.pgm"] = saved(Image.new("I", (4, 3), 70), "PPM")

# JPEG

for mode in ("L", "RGB", "CMYK"):
    for progressive in (False, True):
        for quality in (30, 95):
            files["jpeg_%s_%d_%d.jpg" % (mode, progressive, quality)] = saved(smooth(mode, 50, 37), "JPEG", quality=quality, progressive=progressive)
for sampling in ("4:4:4", "4:2:2", "4:2:0"):
    for size in ((50, 37), (16, 16), (1, 1), (3, 70)):
        files["jpeg_%s_%dx%d.jpg" % ((sampling.replace(":", ""),) + size)] = saved(smooth("RGB", *size), "JPEG", subsampling=sampling, quality=85)
files["jpeg_restart.jpg"] = saved(smooth("RGB", 50, 37), "JPEG", restart_marker_blocks=2)
files["jpeg_rgb.jpg"] = saved(smooth("RGB", 50, 37), "JPEG", keep_rgb=True)
files["jpeg_mpo.jpg"] = saved(smooth("RGB", 50, 37), "MPO", save_all=True, append_images=[smooth("RGB", 50, 37, 1)])
files["jpeg_rotated.jpg"] = saved(smooth("RGB", 50, 37), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0")
adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0"
for mode in ("RGB", "CMYK"):
    plain = saved(smooth(mode, 50, 37), "JPEG")
    for transform in (0, 1, 2):
        at = 20 if mode == "RGB" else 2
        rest = plain[at:] if mode == "RGB" else plain[2 + (16 if plain[2:4] == b"\xff\xee" else 0):]
        files["jpeg_adobe_%s_%d.jpg" % (mode, transform)] = plain[:2] + adobe + bytes([transform]) + rest
try:
    import imagecodecs
    import numpy

    for sampling in ("440", "411", "410"):
        try:
            files["jpeg_%s.jpg" % sampling] = imagecodecs.jpeg8_encode(numpy.asarray(smooth("RGB", 50, 37)), subsampling=sampling)
        except (ValueError, RuntimeError, KeyError):
            pass
    files["jpeg_12_bits.jpg"] = imagecodecs.jpeg_encode(numpy.asarray(smooth("L", 50, 37)).astype("u2") * 16, bitspersample=12)
except ImportError:
    pass


def main(folder, wanted=None):
    """wanted: a file of names; or a folder whose images, at any depth, stand in for the drawn ones"""
    names, contents = sorted(files), files
    if wanted and os.path.isdir(wanted):
        paths = [os.path.join(place, name) for place, _, found in os.walk(wanted) for name in found]
        contents = {os.path.relpath(path, wanted).replace(os.sep, "_"): open(path, "rb").read() for path in paths}
        names = sorted(contents)
    elif wanted:
        names = open(wanted).read().split()
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(contents[name])
        try:
            with Image.open(path) as image:
                pixels = image.convert("RGB")
            with open(path + ".rgb", "wb") as file:
                file.write(b"%d %d\n" % pixels.size + pixels.tobytes())
        except Exception as error:  # whatever it raises is a refusal
            with open(path + ".refused", "w") as file:
                file.write(repr(error) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
