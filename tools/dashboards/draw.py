#!/usr/bin/env python3
"""Draws the Grafana dashboards as SVG, with the answers of a real Prometheus to their own queries.

    tools/dashboards/draw.py http://127.0.0.1:9090 SECONDS FOLDER

SECONDS is how far back the pictures go. `make pictures` does it for docs/pictures.
"""

import html
import json
import math
import re
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

DASHBOARDS = Path(__file__).parent.parent.parent / "envoy" / "grafana"
COLUMN, ROW, GAP, HEAD = 45, 26, 6, 34
COLORS = ["#2f81f7", "#da3633", "#2da44e", "#bf8700", "#8250df", "#0d9488", "#bc4c00", "#6e7781", "#c2255c", "#57606a"]
POINTS = 30


def escaped(text):
    return html.escape(str(text), quote=True)


def ask(prometheus, kind, **parameters):
    """The series of an answer: labels and values."""
    url = f"{prometheus}/api/v1/{kind}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        data = json.load(answer)["data"]["result"]
    return [(series["metric"], series.get("values") or [series["value"]]) for series in data]


def told(value, unit):
    """A number with its unit, as a person reads it."""
    if unit == "percentunit":
        return f"{100 * value:.3g} %"
    if unit == "s":
        factor, name = next((pair for pair in ((1, "s"), (1e3, "ms"), (1e6, "µs")) if value * pair[0] >= 1), (1e6, "µs"))
        return f"{value * factor:.3g} {name}"
    text = f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"
    return text + (" req/s" if unit == "reqps" else "")


def legend(target, labels):
    named = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target.get("legendFormat") or "")
    return named or ", ".join(labels.values()) or "all"


class Picture:
    """The shapes of one dashboard."""

    def __init__(self, prometheus, seconds):
        self.prometheus, self.seconds, self.end = prometheus, seconds, time.time()
        self.shapes, self.height, self.described = [], 0, []

    def query(self, target):
        values = {"$__rate_interval": "15s", "$__range": f"{self.seconds}s", "$instance": ".*", "$provider": ".*", "$type": ".*"}
        text = target["expr"]
        for name, value in values.items():
            text = text.replace(name, value)
        return text

    def now(self, target):
        return ask(self.prometheus, "query", query=self.query(target), time=self.end)

    def over_time(self, target):
        start = self.end - self.seconds
        step = self.seconds / POINTS
        return ask(self.prometheus, "query_range", query=self.query(target), start=start, end=self.end, step=step)

    def text(self, x, y, text, size=12, anchor="start", color="#1b1f24", weight=400):
        self.shapes.append(
            f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}" text-anchor="{anchor}" fill="{color}" font-weight="{weight}">{escaped(text)}</text>'
        )

    def panel(self, panel):
        place = panel["gridPos"]
        x, y = place["x"] * COLUMN + GAP / 2, place["y"] * ROW + HEAD
        wide, high = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
        self.height = max(self.height, y + high + GAP)
        self.shapes.append(f'<rect x="{x:.0f}" y="{y:.0f}" width="{wide:.0f}" height="{high:.0f}" rx="3" fill="#fff" stroke="#d8dee4"/>')
        self.text(x + 10, y + 18, panel["title"], 13, weight=600)
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
        draw = {"stat": self.stat, "timeseries": self.lines, "bargauge": self.bars, "table": self.table}[panel["type"]]
        shown = draw(panel, (x + 10, y + 26, wide - 20, high - 34), unit)
        self.described.append(f"{panel['title']}: {shown}" if shown else f"{panel['title']}: no data")

    def stat(self, panel, box, unit):
        x, y, wide, high = box
        found = self.now(panel["targets"][0])
        value = float(found[0][1][-1][1]) if found else math.nan
        shown = told(value, unit) if value == value else "no data"
        self.text(x + wide / 2, y + high / 2 + 12, shown, 28, "middle", "#0969da", 600)
        return shown

    def lines(self, panel, box, unit):
        x, y, wide, high = box
        series = []
        for target in panel["targets"]:
            for labels, values in self.over_time(target):
                points = {round((float(at) - self.end + self.seconds) / self.seconds * POINTS): float(value) for at, value in values}
                series.append((legend(target, labels), {at: value for at, value in points.items() if value == value}))
        series = [one for one in series if one[1]]
        if not series:
            self.text(x + wide / 2, y + high / 2, "no data", 13, "middle", "#57606a")
            return None
        is_stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
        below = dict.fromkeys(range(POINTS + 1), 0.0)
        drawn = []
        for name, points in series:
            if is_stacked:
                points = {at: below[at] + points.get(at, 0.0) for at in below}
                below = points
            drawn.append((name, points))
        most = max(max(points.values()) for _, points in drawn) or 1.0
        left, plot = x + 62, high - 34
        spot = lambda at, value: (left + at / POINTS * (wide - 66), y + plot - value / most * (plot - 8))
        for part in (0, 0.5, 1):
            _, at = spot(0, most * part)
            self.shapes.append(f'<path d="M{left:.0f} {at:.0f}H{x + wide:.0f}" stroke="#eaeef2"/>')
            self.text(left - 6, at + 4, told(most * part, unit), 11, "end", "#57606a")
        for part in (0, 0.5, 1):
            at, _ = spot(POINTS * part, 0)
            back = self.seconds * (1 - part)
            self.text(at, y + plot + 14, f"−{back:.0f} s" if back else "now", 11, ("start", "middle", "end")[int(part * 2)], "#57606a")
        for number, (_, points) in enumerate(drawn):
            path = " ".join("{:.0f} {:.0f}".format(*spot(at, points[at])) for at in sorted(points))
            self.shapes.append(f'<path d="M{path}" fill="none" stroke="{COLORS[number % len(COLORS)]}" stroke-width="1.6"/>')
        at = x
        for number, (name, _) in enumerate(drawn):
            long = 22 + 6.4 * len(name)
            if at + long > x + wide:
                break
            self.shapes.append(f'<rect x="{at:.0f}" y="{y + high - 9:.0f}" width="12" height="4" fill="{COLORS[number % len(COLORS)]}"/>')
            self.text(at + 16, y + high - 3, name, 11)
            at += long
        return ", ".join(name for name, _ in drawn)

    def bars(self, panel, box, unit):
        x, y, wide, high = box
        target = panel["targets"][0]
        found = [(legend(target, labels), float(values[-1][1])) for labels, values in self.now(target)]
        most = max((value for _, value in found), default=0.0) or 1.0
        for number, (name, value) in enumerate(found[: int(high / 22)]):
            top = y + 8 + number * 22
            long = value / most * (wide - 230)
            self.text(x + 140, top + 12, name[:22], 12, "end")
            self.shapes.append(f'<rect x="{x + 148:.0f}" y="{top:.0f}" width="{long:.0f}" height="15" rx="2" fill="{COLORS[0]}"/>')
            self.text(x + 154 + long, top + 12, told(round(value), unit), 12)
        return ", ".join(f"{name} {told(round(value), unit)}" for name, value in found)

    def table(self, panel, box, unit):
        x, y, wide, high = box
        found = self.now(panel["targets"][0])
        names = sorted({name for labels, _ in found for name in labels})
        columns = [*names, "value"]
        for at, name in enumerate(columns):
            self.text(x + at * wide / len(columns), y + 14, name, 12, weight=600)
        for number, (labels, values) in enumerate(found[: int(high / 20) - 1]):
            cells = [labels.get(name, "")[:34] for name in names] + [told(round(float(values[-1][1])), unit)]
            for at, cell in enumerate(cells):
                self.text(x + at * wide / len(columns), y + 34 + number * 20, cell)
        return f"{len(found)} rows"

    def svg(self, title):
        wide, high = 24 * COLUMN, math.ceil(self.height)
        description = escaped("; ".join(self.described))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" '
            f'font-family="system-ui,sans-serif"><title>{escaped(title)}</title><desc>{description}</desc>\n'
            f'<rect width="{wide}" height="{high}" fill="#f6f8fa"/>\n'
            f'<text x="10" y="23" font-size="16" font-weight="600" fill="#1b1f24">{escaped(title)}</text>\n' + "\n".join(self.shapes) + "\n</svg>\n"
        )


def main():
    prometheus, seconds, folder = sys.argv[1].rstrip("/"), int(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        picture = Picture(prometheus, seconds)
        for panel in dashboard["panels"]:
            picture.panel(panel)
        out = folder / f"{file.stem}.svg"
        out.write_text(picture.svg(dashboard["title"]), encoding="utf-8")
        empty = [text for text in picture.described if text.endswith("no data")]
        print(f"{out}: {len(dashboard['panels'])} panels, {out.stat().st_size // 1000} KB{', without data: ' if empty else ''}{', '.join(empty)}")
        if empty:
            sys.exit(1)


main()
