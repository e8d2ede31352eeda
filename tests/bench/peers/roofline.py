"""Draws products and convolutions under the ceilings of their device."""
import html
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "jobs"))
import svg  # noqa: E402

COLOURS = ("#1f5f99", "#d1701a", "#3a8a43", "#8c4aa8", "#7a7a7a", "#b03040", "#2aa0a0", "#8a6d1f")


def ceilings_of(results):
    """Operations and bytes a second: the largest of all comparisons' medians, since whatever disturbs one only lowers it."""
    each = [row["ceilings"] for rows in results["sections"].values() for row in rows]
    return {name: max(ceilings[name] for ceilings in each) for name in ("float32_flops", "copy_bytes_per_s")}


def marker(kind, x, y, colour, title):
    if kind == "conv":
        shape = f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"'
    else:
        shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"'
    return f'{shape} fill="{colour}" fill-opacity="0.8"><title>{html.escape(title)}</title></{"rect" if kind == "conv" else "circle"}>'


def roofline(results):
    """Circles are products, squares convolutions; over operations a byte, each input read once, each output written once. The ceilings are
    the device's own, measured in the same runs: float32 multiply-adds outside of tensor cores, and copies. For other formats a dashed line is
    the best rate that anybody reached, since tensor cores have no ceiling that was measured."""
    rows = [(section, row) for section in ("gemm", "conv") for row in results["sections"].get(section, [])]
    ceilings = ceilings_of(results)
    flops, bandwidth = ceilings["float32_flops"], ceilings["copy_bytes_per_s"]
    points = [(section, name, row["operations"] / row["bytes"], row["operations"] / seconds, row["work"])
              for section, row in rows for name, seconds in row["seconds"].items()]
    width, height, left, right, top, bottom = 760, 460, 84, 20, 40, 50
    x_low, x_high = math.floor(math.log2(min(p[2] for p in points)) - 1), math.ceil(math.log2(max(p[2] for p in points)) + 1)
    x_low = min(x_low, math.floor(math.log2(flops / bandwidth)) - 1)
    y_low = math.floor(math.log10(min(p[3] for p in points)))
    y_high = math.ceil(math.log10(max(flops, max(p[3] for p in points)) * 1.2))

    def x_of(intensity):
        return left + (math.log2(intensity) - x_low) / (x_high - x_low) * (width - left - right)

    def y_of(rate):
        return height - bottom - (math.log10(rate) - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = []
    for power in range(x_low, x_high + 1):
        x = x_of(2.0**power)
        parts.append(svg.line(x, top, x, height - bottom, 'stroke="#e4e4e4"'))
        parts.append(svg.text(x, height - bottom + 16, f"{2.0**power:g}", 'text-anchor="middle"'))
    for power in range(y_low, y_high + 1):
        for step in range(1, 10):
            if power == y_high and step > 1:
                break
            y = y_of(step * 10.0**power)
            parts.append(svg.line(left, y, width - right, y, f'stroke="{"#d0d0d0" if step == 1 else "#f0f0f0"}"'))
        parts.append(svg.text(left - 6, y_of(10.0**power) + 4, f"{10.0**power / 1e9:,.0f}" if power >= 9 else f"{10.0**power / 1e9:g}", 'text-anchor="end"'))
    knee, style = flops / bandwidth, 'stroke="black" stroke-width="1.5"'
    start = max(2.0**x_low, 10.0**y_low / bandwidth)
    parts.append(svg.line(x_of(start), y_of(start * bandwidth), x_of(knee), y_of(flops), style))
    parts.append(svg.line(x_of(knee), y_of(flops), width - right, y_of(flops), style))
    parts.append(svg.text(width - right - 4, y_of(flops) - 6, f"{flops / 1e9:.0f} GFLOP/s multiply-add",
                          'text-anchor="end"'))
    parts.append(svg.text(x_of(start) + 10, y_of(start * bandwidth) + 18, f"{bandwidth / 1e9:.1f} GB/s copy"))
    for form in dict.fromkeys(row.get("format", "float32") for _, row in rows):
        if form != "float32":
            best = max(row["operations"] / min(row["seconds"].values()) for _, row in rows if row.get("format") == form)
            parts.append(svg.line(x_of(best / bandwidth), y_of(best), width - right, y_of(best), 'stroke="black" stroke-dasharray="4 3"'))
            parts.append(svg.text(left + 4, y_of(best) + 4, f"best in {form}: {best / 1e12:.0f} TFLOP/s"))
    names = list(dict.fromkeys(p[1] for p in points))
    colours = dict(zip(names, COLOURS))
    for section, name, intensity, rate, work in points:
        parts.append(marker(section, x_of(intensity), y_of(rate), colours[name], f"{name}, {work}: {rate / 1e9:.1f} GFLOP/s"))
    parts += svg.legend(left, 14, colours)
    parts.append(svg.text(width - right, 22, "● products  ■ convolutions", 'text-anchor="end"'))
    parts.append(svg.text((left + width - right) / 2, height - 12, "operations a byte", 'text-anchor="middle"'))
    parts.append(svg.text(16, height / 2, "GFLOP/s", f'text-anchor="middle" transform="rotate(-90 16 {height / 2:.0f})"'))
    return svg.document(width, height, parts)
