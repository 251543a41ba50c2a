#!/usr/bin/env python3
"""Opens the pages of `report`, `watch` and `serve` in a headless Chromium, each light and dark, narrow (390 pixels) and
wide (1280), and writes a screenshot of each. Fails if a page logs an error, asks for anything outside this machine, is
wider than its window, or shows nothing.

usage: tests/pages/check.py [--binary FILE] [--chromium FILE] [--output DIR]
       (cargo build --release first; needs Playwright for Python, `pip install playwright`, and Chromium, such as
       Debian's package, or Playwright's own by `playwright install chromium`)
"""

import argparse
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from playwright.sync_api import sync_playwright

root = pathlib.Path(__file__).resolve().parent.parent.parent
arguments = argparse.ArgumentParser()
arguments.add_argument("--binary", default=root / "target/release/neural", type=pathlib.Path)
arguments.add_argument("--chromium", default=shutil.which("chromium"), help="Playwright's own if there is none")
arguments.add_argument("--output", default="target/pages", type=pathlib.Path)
arguments = arguments.parse_args()
binary, output = arguments.binary.resolve(), arguments.output.resolve()

WIDTHS = {"narrow": 390, "wide": 1280}
LOCAL = ("file:", "data:", "blob:", "http://127.0.0.1:")


def neural(folder, *words):
    subprocess.run([binary, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def write_tables(folder):
    """Guests of a hotel, with a kind for each way that a column is read; prices, which are values."""
    random.seed(1)
    guests, prices = ["nights,breakfast,country,arrival,wishes,remark,pulse,returns"], ["area,age,price"]
    for row in range(400):
        nights, age = random.randint(1, 14), random.randint(18, 90)
        wishes = ";".join(wish for wish in ["quiet", "view", "cot", "parking", "late"] if random.random() < 0.4)
        country = random.choice(["Austria", "Bolivia", "Chad", "Democratic Republic of the Congo"])
        likes = nights > 6 or "view" in wishes
        remark = f"we {'liked' if likes else 'missed'} the {random.choice(['sea', 'food', 'garden'])} and came by {random.choice(['car', 'train'])} in {row + 1} minutes"
        pulse = ", ".join(f"{random.gauss(70 - 5 * likes, 3):.1f}" for _ in range(3))
        cells = [nights if row % 9 else "", random.choice(["yes", "no"]), country, f"2025-{row % 12 + 1:02}-{row % 28 + 1:02}"]
        returns = "yes" if likes != (random.random() < 0.1) else "no"
        guests.append(",".join(map(str, [*cells, wishes, f'"{remark}"', f'"[{pulse}]"', returns])))
        area = random.uniform(20, 200)
        prices.append(f"{area:.1f},{age},{3000 * area * (1 - age / 200) + random.gauss(0, 2e4):.0f}")
    (folder / "guests.csv").write_text("\n".join(guests))
    (folder / "prices.csv").write_text("\n".join(prices))


class Server:
    """A command that serves a page, and the page's address."""

    def __init__(self, folder, *words):
        self.process = subprocess.Popen([binary, *words, "--port", "0"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.address = next(line.split()[-1] for line in self.process.stdout if "http://" in line)

    def __enter__(self):
        return self.address

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def look(browser, name, address, act=None):
    """Opens a page in each form, and returns its faults."""
    faults = []
    for scheme in ["light", "dark"]:
        for form, width in WIDTHS.items():
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            where = f"{name}, {form}, {scheme}"
            page.on("console", lambda said: said.type in ["error", "warning"] and faults.append(f"{where}: {said.text}"))
            page.on("pageerror", lambda error: faults.append(f"{where}: {error}"))
            page.on("request", lambda request: request.url.startswith(LOCAL) or faults.append(f"{where}: asks for {request.url}"))
            page.goto(address)
            page.wait_for_timeout(1500)
            if act:
                act(page)
                page.wait_for_timeout(1500)
            if page.evaluate("document.documentElement.scrollWidth") > width:
                faults.append(f"{where}: wider than the window")
            if len(page.inner_text("main")) < 20:
                faults.append(f"{where}: empty")
            page.screenshot(path=output / f"{name}-{form}-{scheme}.png", full_page=True)
            page.close()
    return faults


def draw(page):
    """Asks a model for an answer: by its form, or by a stroke on the canvas."""
    for field in page.query_selector_all("select[multiple]"):
        field.select_option(index=[0, 2])
    for field in page.query_selector_all("input[type=number]"):
        field.fill("7")
    canvas = page.query_selector("canvas")
    if canvas:
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] - 40, steps=8)
        page.mouse.up()
    else:
        page.click("button.main")


def main():
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        folder = pathlib.Path(folder)
        write_tables(folder)
        for table in ["guests", "prices"]:
            neural(folder, "init", f"{table}.csv", *(["--target", "returns"] if table == "guests" else []))
            neural(folder, "train", f"{table}.toml", "--epochs", "20", "--quiet")
        digits = ["--set", f"data.path={root / 'data/mnist'}", "--epochs", "3", "--name", "digits", "--quiet"]
        neural(folder, "train", root / "scripts/recipes/mnist.toml", *digits)
        rates = ["--over", "train.optimizer.adamw.weight_decay=1e-4..1e-1", "--over", "train.batch_size=16,32", "--search", "random", "--trials", "6"]
        neural(folder, "sweep", "prices.toml", *rates, "--epochs", "5", "--quiet")
        browser = playwright.chromium.launch(executable_path=arguments.chromium)
        faults = []
        for name, runs in {
            "report-classes": ["runs/guests-1"],
            "report-values": ["runs/prices-1"],
            "report-pictures": ["runs/digits"],
            "report-several": ["runs/guests-1", "runs/prices-1"],
            "report-sweep": ["runs/prices-sweep-1"],
        }.items():
            neural(folder, "report", *runs, "-o", f"{name}.html")
            faults += look(browser, name, f"file://{folder}/{name}.html")
        with Server(folder, "watch", "runs") as address:
            faults += look(browser, "watch", address)
        for name, run in {"serve-columns": "guests-1", "serve-pictures": "digits"}.items():
            with Server(folder, "serve", f"runs/{run}") as address:
                faults += look(browser, name, address, draw)
        browser.close()
    print(f"screenshots in {output}")
    sys.exit("\n".join(faults) or None)


if __name__ == "__main__":
    main()
