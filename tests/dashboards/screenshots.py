"""The pictures of the documentation, from the demo: `python -m tests.dashboards.screenshots`, or `make screenshots`."""

import io
import tempfile
from pathlib import Path

from PIL import Image

from tests.dashboards.browser import ROOT, browsing, serving, visiting
from tests.dashboards.conftest import Shown

IMAGES = ROOT / "docs" / "images"
PAGES = {"overview": "", "loss": "loss", "coverage": "coverage?name=core&threat=ransomware"}
WIDTH, HEIGHTS = 1280, {"overview": 1180, "loss": 1000, "coverage": 900}
COLOURS = 160  # of a picture: enough for flat areas and text


def main() -> None:
    """Write docs/images/*.png."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shown = Shown(Path(folder) / "demo")
        with serving(shown.config, "operator", Path(folder)) as address, browsing() as browser:
            for name, path in PAGES.items():
                with visiting(browser, address, WIDTH, HEIGHTS[name]) as visit:
                    page = visit.open(path)
                    page.wait_for_timeout(2000)  # until charts are painted
                    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
                    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
