"""Make the picture of an evaluation report that stands in the guide.

    python tools/analysis_tools/make_report_picture.py work_dirs/report/report.html

opens the report in headless Chromium (Debian: apt-get install chromium chromium-driver) and writes
docs/assets/evaluation_report.png: the figures, the curves, and the first timelines.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lavida_mm.utils import DataError, UsageError, atomic_path, run_tool

WIDTH = 1180
GAP = 28  # pixels of page above the section of timelines and below the last one that is shown


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('report', type=Path, help='report.html')
    parser.add_argument('--out', type=Path, default=Path('docs/assets/evaluation_report.png'), help='PNG (%(default)s)')
    parser.add_argument('--timelines', type=int, default=2, help='timelines that are shown (%(default)s)')
    parser.add_argument('--rows', type=int, default=6, help='rows of the table that are shown (%(default)s)')
    parser.add_argument('--source', help='text in place of the path of the scores')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    if not args.report.is_file():
        raise DataError(f'{args.report}: report not found')

    from tests.browser import BROWSER, DRIVER, open_browser, page_address

    if BROWSER is None or DRIVER is None:
        raise UsageError('chromium and chromedriver must be installed: apt-get install chromium chromium-driver')
    with open_browser(WIDTH, 1000) as driver:
        driver.get(page_address(args.report))
        hide = (
            '[...document.querySelectorAll("#videos tbody tr")].slice(arguments[0]).forEach((row) => row.remove());'
            'const cards = [...document.querySelectorAll(".timeline")];'
            'cards.slice(arguments[1]).forEach((card) => card.remove());'
            'for (const part of document.querySelectorAll("#more, #more-rows, footer")) part.remove();'
            'if (arguments[2]) document.getElementById("source").textContent = arguments[2];'
            'return document.querySelector("#timelines").getBoundingClientRect().bottom + window.scrollY'
        )
        height = driver.execute_script(hide, args.rows, args.timelines, args.source)
        driver.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride',
            dict(width=WIDTH, height=int(height) + GAP, deviceScaleFactor=1, mobile=False),
        )
        with tempfile.TemporaryDirectory() as folder:
            picture = Path(folder) / 'page.png'
            driver.save_screenshot(str(picture))
            save(picture, args.out)
    print(args.out)


def save(picture: Path, out: Path) -> None:
    """Write a screenshot with 256 colours: a third of the size, and nobody sees it."""
    from PIL import Image

    with Image.open(picture) as image, atomic_path(out) as temporary:
        image.convert('RGB').quantize(256, dither=Image.Dither.NONE).save(temporary, format='PNG', optimize=True)


if __name__ == '__main__':
    run_tool(main)
