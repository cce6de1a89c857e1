"""The curve of a run as a picture: a metric on the training and the test examples over the steps, as SVG."""

from __future__ import annotations

from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 400
LEFT, TOP, RIGHT, BOTTOM = 64, 48, 36, 56


def draw(title: str, metric: str, rows: list[tuple[int, float, float]], percent: bool = True) -> str:
    """The picture. `rows` are steps with the metric on the training and the test examples.

    A metric in percent is a fraction, and its axis goes from 0 to 100; any other begins at 0.
    """
    top = 1.0 if percent else max(value for row in rows for value in row[1:]) or 1.0
    last = max(rows[-1][0], 1)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def line(column: int, colour: str) -> str:
        points = " ".join(
            f"{LEFT + wide * row[0] / last:.1f},{TOP + high * (1 - row[column] / top):.1f}" for row in rows
        )
        return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'

    middle = TOP + high / 2
    turned = f"translate(16 {middle:.0f}) rotate(-90)"
    grid = [f'<text transform="{turned}" text-anchor="middle">{escape(metric)}</text>']
    for fifth in range(6):
        y = TOP + high * (1 - fifth / 5)
        mark = f"{20 * fifth} %" if percent else f"{top * fifth / 5:.3g}"
        grid.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        grid.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mark}</text>')
    for part in range(5):
        x = LEFT + wide * part / 4
        grid.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{last * part // 4:,}</text>'
        )
    legend = [
        f'<path d="M{WIDTH - 250} 30h20" stroke="#1f77b4" stroke-width="2"/>',
        f'<text x="{WIDTH - 224}" y="34">training {_shown(rows[-1][1], percent)}</text>',
        f'<path d="M{WIDTH - 124} 30h20" stroke="#d62728" stroke-width="2"/>',
        f'<text x="{WIDTH - 98}" y="34">test {_shown(rows[-1][2], percent)}</text>',
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            f'<text x="{LEFT}" y="34" font-size="15">{escape(title)}</text>',
            *grid,
            line(1, "#1f77b4"),
            line(2, "#d62728"),
            *legend,
            f'<text x="{LEFT + wide / 2:.1f}" y="{HEIGHT - 12}" text-anchor="middle">steps</text>',
            "</svg>\n",
        ]
    )


def _shown(value: float, percent: bool) -> str:
    return f"{value:.1%}" if percent else f"{value:.4g}"
