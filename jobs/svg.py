"""Parts of SVG drawings that the reports of this folder share."""
import html


def text(x, y, words, style=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{html.escape(words)}</text>'


def line(x1, y1, x2, y2, style):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def box(x, y, width, height, colour, title=""):
    """A filled rectangle; a viewer shows `title` where the pointer rests on it."""
    size = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"'
    return f"<rect {size}><title>{html.escape(title)}</title></rect>" if title else f"<rect {size}/>"


def legend(x, y, colours):
    """A coloured square and a name each, in one line."""
    parts = []
    for name, colour in colours.items():
        parts += [box(x, y, 10, 10, colour), text(x + 14, y + 9, name)]
        x += 14 + 8 * len(name) + 16
    return parts


def document(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" '
            'font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(parts) + "\n</svg>\n")
