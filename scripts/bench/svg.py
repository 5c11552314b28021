"""Line plots as SVG, both axes logarithmic."""

import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 320, 64, 110, 28, 44
COLORS = ["#1b6ca8", "#c8553d", "#3a7d44", "#7b4b94"]


def short(value):
    """12000 as 12k, 0.25 as 0.25."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def ticks(low, high):
    """Powers of ten, or of two where there would be fewer than two, within the range."""
    for base in (10.0, 2.0):
        first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
        if last - first >= 1:
            step = max(1, (last - first) // 5)
            return [base**power for power in range(first, last + 1, step)]
    return [low, high]


def plot(title, x_label, y_label, lines):
    """An SVG document.

    lines   name: [(x, y), ...], all above 0; each is drawn with a dashed line of linear growth
            from its first point
    """
    points = [point for line in lines.values() for point in line]
    ranges = []
    for axis in (0, 1):
        low, high = min(p[axis] for p in points), max(p[axis] for p in points)
        ranges.append((low / 1.15, high * 1.15))
    spans = ((LEFT, WIDTH - RIGHT), (HEIGHT - BOTTOM, TOP))

    def place(value, axis):
        low, high = (math.log(limit) for limit in ranges[axis])
        start, end = spans[axis]
        return start + (math.log(value) - low) / (high - low) * (end - start)

    def path(line, style):
        corners = " ".join(f"{place(x, 0):.1f},{place(y, 1):.1f}" for x, y in line)
        return f'<polyline points="{corners}" fill="none" {style}/>'

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
           f'font-size="11">', f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{LEFT}" y="16" font-size="13">{escape(title)}</text>']
    for axis, anchor in ((0, "middle"), (1, "end")):
        for value in ticks(*ranges[axis]):
            at = place(value, axis)
            ends = (at, spans[1][0], at, spans[1][1]) if axis == 0 else (spans[0][0], at, spans[0][1], at)
            x, y = (at, HEIGHT - BOTTOM + 15) if axis == 0 else (LEFT - 6, at + 4)
            out.append('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" stroke="#ddd"/>'.format(*ends))
            out.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{short(value)}</text>')
    out.append(f'<text x="{LEFT}" y="{HEIGHT - 10}">{escape(x_label)}; left: {escape(y_label)}; dashed: linear</text>')
    for color, (name, line) in zip(COLORS, lines.items()):
        (x, y), last = line[0], line[-1][0]
        end = min(last, x * ranges[1][1] / y)
        out.append(path([(x, y), (end, y * end / x)], f'stroke="{color}" stroke-dasharray="3 3"'))
        out.append(path(line, f'stroke="{color}" stroke-width="2"'))
        out += [f'<circle cx="{place(a, 0):.1f}" cy="{place(b, 1):.1f}" r="3" fill="{color}"/>' for a, b in line]
        out.append(f'<text x="{WIDTH - RIGHT + 8}" y="{place(line[-1][1], 1):.1f}" fill="{color}">{escape(name)}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"
