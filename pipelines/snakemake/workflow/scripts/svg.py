"""Small plots as SVG text: bars, a band along a contig, a matrix of counts."""
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 200, 64, 34, 12
INK, FILL, SOFT = "#333333", "#2b6a99", "#b7d0e2"


def number(value):
    return f"{value:.4g}"


def text(x, y, words, anchor="middle"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(str(words))}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{INK}"/>'


def rectangle(x, y, width, height, fill):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}"/>'


def picture(parts, title, width=WIDTH, height=HEIGHT):
    return (f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{escape(title)}" font-family="sans-serif" font-size="11" fill="{INK}">'
            + "".join(parts) + "</svg>")


def frame(low, high, below, left=None, right=None):
    """The axes: low and high at the left, words below, the ends of the range under the axis."""
    base = HEIGHT - BOTTOM
    parts = [line(LEFT, TOP, LEFT, base), line(LEFT, base, WIDTH - 8, base),
             text(LEFT - 6, TOP + 8, number(high), "end"), text(LEFT - 6, base, number(low), "end"),
             text((LEFT + WIDTH) / 2, HEIGHT - 6, below)]
    if left is not None:
        parts += [text(LEFT, base + 14, left, "start"), text(WIDTH - 8, base + 14, right, "end")]
    return parts


def histogram(values, below, bins=30):
    """How often values fall into each of `bins` equal steps."""
    low, high = min(values), max(values)
    step = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / step))] += 1
    top, wide, base = max(counts), (WIDTH - 8 - LEFT) / bins, HEIGHT - BOTTOM
    parts = frame(0, top, below, number(low), number(high))
    for i, count in enumerate(counts):
        tall = count / top * (base - TOP)
        parts.append(rectangle(LEFT + i * wide + 0.5, base - tall, wide - 1, tall, FILL))
    return picture(parts, f"histogram: {below}")


def bars(counts, below):
    """One bar a name, longest first."""
    rows = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    top, left = max(counts.values()), 150
    parts = []
    for i, (name, count) in enumerate(rows):
        y = TOP + i * 20
        long = count / top * (WIDTH - left - 70)
        parts += [text(left - 6, y + 12, name, "end"), rectangle(left, y, long, 15, FILL),
                  text(left + long + 5, y + 12, f"{count:,}", "start")]
    return picture(parts, below, height=TOP + 20 * len(rows) + 8)


def band(rows, below, steps=280):
    """Mean, and from lowest to highest, of (begin, end, lowest, mean, highest) along a contig."""
    size = max(1, -(-len(rows) // steps))
    groups = [rows[i:i + size] for i in range(0, len(rows), size)]
    points = [(group[0][0], group[-1][1], min(r[2] for r in group), sum(r[3] for r in group) / len(group),
               max(r[4] for r in group)) for group in groups]
    begin, end = points[0][0], points[-1][1]
    low, high = min(p[2] for p in points), max(p[4] for p in points)
    base = HEIGHT - BOTTOM

    def x(at):
        return LEFT + (at - begin) / ((end - begin) or 1) * (WIDTH - 8 - LEFT)

    def y(value):
        return base - (value - low) / ((high - low) or 1) * (base - TOP)

    middle = [(p[0] + p[1]) / 2 for p in points]
    around = [(x(m), y(p[4])) for m, p in zip(middle, points)] + [
        (x(m), y(p[2])) for m, p in reversed(list(zip(middle, points)))]
    mean = [(x(m), y(p[3])) for m, p in zip(middle, points)]

    def path(corners):
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)

    parts = frame(low, high, below, f"{begin + 1:,}", f"{end:,}")
    parts += [f'<polygon points="{path(around)}" fill="{SOFT}"/>',
              f'<polyline points="{path(mean)}" fill="none" stroke="{FILL}" stroke-width="1.5"/>']
    return picture(parts, below)


def matrix(labels, counts):
    """Counts by true (rows) and predicted (columns) class."""
    longest = max(map(len, labels))
    side, left, top = max(46, 7 * longest + 8), 7 * longest + 20, 40
    tall, most = 46, max(max(row) for row in counts) or 1
    parts = [text(left + side * len(labels) / 2, 12, "predicted")]
    for i, row in enumerate(counts):
        parts += [text(left + side * (i + 0.5), top - 8, labels[i]),
                  text(left - 8, top + tall * (i + 0.5) + 4, labels[i], "end")]
        for j, count in enumerate(row):
            x, y = left + side * j, top + tall * i
            parts.append(f'<rect x="{x}" y="{y}" width="{side}" height="{tall}" fill="{FILL}" '
                         f'fill-opacity="{0.08 + 0.6 * count / most:.3f}" stroke="white"/>')
            parts.append(text(x + side / 2, y + tall / 2 + 4, f"{count:,}"))
    return picture(parts, "confusion matrix", left + side * len(labels) + 20, top + tall * len(labels) + 10)
