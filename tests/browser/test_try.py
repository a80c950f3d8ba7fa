"""The page that answers, alone: from a folder, in a real browser, with the networks that the project ships."""

import base64
import io
import shutil
from functools import cache

import numpy as np
import pytest
from PIL import Image

from fingerprintlib.attacks.perturbations import ATTACKS
from fingerprintlib.book.browser import write_scripts
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.decoding import decode
from fingerprintlib.data.images import coloured, luma
from fingerprintlib.errors import FingerprintsError
from fingerprintlib.forensics.calibrating import Calibration
from fingerprintlib.forensics.judging import Judge
from fingerprintlib.forensics.viewing import handled, seen
from fingerprintlib.runtime import make_fabric
from fingerprintlib.zoo.generators import load_generator
from fingerprintlib.zoo.networks import load_network

from ..conftest import ROOT
from .firefox import FIREFOX, Firefox

pytestmark = pytest.mark.browser

DATA = ROOT / "data"
ASSETS = ("jpeg.js", "pixels.js", "judge.js", "try.js", "try.css")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Try it</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src file:; img-src file: data: blob:;
 script-src file: blob: 'wasm-unsafe-eval'">
<link rel="stylesheet" href="_static/try.css">
<script defer src="_static/jpeg.js"></script>
<script defer src="_static/pixels.js"></script>
<script defer src="_static/judge.js"></script>
<script defer src="_static/try.js"></script></head>
<body><main><h1>Try it</h1><div class="fp-try" data-files data-guess><p>What stands here in the book.</p></div></main>
</body></html>
"""


def drawn(source, split, first, count):
    """Images of a source that no training here has seen."""
    if source in ("real", "scenes"):
        return open_dataset({"real": "clothing"}.get(source, source), 64).images(split, first, count)
    return generator(source).sample(count, seed=987, start=first)


@cache
def generator(source):
    return load_generator(DATA / "zoo" / f"{source}.safetensors")


@pytest.fixture(scope="session")
def judges():
    """The shipped attributors by name: immunized, and as it was trained, calibrated here on a few images."""
    immunized = Judge.load(DATA / "networks" / "open-world-attributor.safetensors")
    plain = load_network(DATA / "networks" / "attribution-as-they-are.safetensors")
    images = np.concatenate([drawn(name, "validation", 1000 * (name != "real"), 40) for name in plain.class_names])
    return {
        "plain": Judge(plain, Calibration.of(plain, images, np.repeat(np.arange(5), 40))),
        "immunized": immunized,
    }


@pytest.fixture(scope="session")
def visualizer():
    exactly = make_fabric("cpu", "32-true")  # as browsers compute
    return load_network(DATA / "networks" / "fingerprints-normalized-correlation.safetensors", exactly)


@pytest.fixture(scope="session")
def folder(judges, visualizer, tmp_path_factory):
    """A page of its own with all that it needs, as the book has it."""
    folder = tmp_path_factory.mktemp("a folder")
    (folder / "_static").mkdir()
    for name in ASSETS:
        shutil.copy(ROOT / "book" / "_assets" / name, folder / "_static" / name)
    networks = {name: judge.calibrated for name, judge in judges.items()} | {"visualizer": visualizer}
    samples = {name: drawn(name, "test", 0, 3) for name in (*judges["plain"].class_names, "vae")}
    scripts = write_scripts(folder, DATA / "engine", networks, samples)
    shutil.copytree(scripts, folder / "_static", dirs_exist_ok=True)
    (folder / "try.html").write_text(PAGE)
    return folder


@pytest.fixture
def page(browser, folder):
    """The page, opened; nothing may go wrong on it, and nothing be asked of a network."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    page.troubles = []
    page.on("console", lambda said: page.troubles.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", lambda asked: page.troubles.append(asked.url) if not local(asked.url) else None)
    yield page
    assert page.troubles == []
    page.close()


def local(url):
    return url.startswith(("file:", "data:", "blob:"))


def opened(page, folder):
    page.goto((folder / "try.html").as_uri())
    page.wait_for_selector(".fp-try[data-state=ready]")
    return page


# --- the same pixels, the same answers --------------------------------------------------------------

BYTES = "text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0))"
OPEN = f"""async text => {{
  const bytes = ({BYTES})(text), source = await fpPixels.open(new File([bytes], "file"), "file");
  return fpPixels.seen(source, 64, "shrunk");
}}"""


def text_of(data):
    return base64.b64encode(data).decode()


def in_browser(page, expression, image, *arguments):
    """The pixels of an expression in `image`, which is a uint8 ``[H, W, 3]``, and of the arguments a, b, ..."""
    height, width, _ = image.shape
    names = "".join(f", {name}" for name in "abc"[: len(arguments)])
    code = f"""async ([text, width, height{names}]) => {{
      const image = {{ width, height, data: new Uint8ClampedArray(({BYTES})(text)) }};
      return pixels(await ({expression}));
      function pixels({{ width, height, data }}) {{ return [height, width, Array.from(data)]; }}
    }}"""
    height, width, data = page.evaluate(code, [text_of(image.tobytes()), width, height, *arguments])
    return np.array(data, int).reshape(height, width, 3)


@pytest.fixture(scope="module")
def still(browser, folder):
    """The page, opened once for all questions about pixels and answers."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    yield opened(page, folder)
    page.close()


def photograph(height, width, seed=0):
    """Something smooth with edges and noise, uint8 ``[H, W, 3]``."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (7, 9, 3), np.uint8)
    wide = np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), int)
    wide[height // 3 : height // 2, width // 4 :] = rng.integers(0, 256, 3)
    return np.clip(wide + rng.normal(0, 6, wide.shape), 0, 255).astype(np.uint8)


def file_of(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PHOTO = Image.fromarray(photograph(401, 533))
GREY = Image.fromarray(photograph(150, 97)).convert("L")
FILES = {
    "PNG": file_of(PHOTO, "PNG"),
    "JPEG": file_of(PHOTO, "JPEG", quality=90),
    "JPEG without subsampling": file_of(PHOTO, "JPEG", quality=75, subsampling=0),
    "JPEG, progressive": file_of(PHOTO, "JPEG", quality=60, progressive=True),
    "JPEG, turned": file_of(PHOTO, "JPEG", quality=90, exif=turned(6)),
    "JPEG, mirrored and turned": file_of(PHOTO, "JPEG", quality=90, exif=turned(5)),
    "JPEG, grey": file_of(GREY, "JPEG", quality=80),
    "WebP": file_of(PHOTO, "WEBP", quality=80),
    "palette": file_of(PHOTO.quantize(32), "PNG"),
    "grey": file_of(GREY, "PNG"),
    "BMP": file_of(PHOTO, "BMP"),
    "GIF": file_of(PHOTO.quantize(64), "GIF"),
    "just right": file_of(Image.fromarray(photograph(64, 64)), "PNG"),
    "small": file_of(Image.fromarray(photograph(40, 51)), "PNG"),
    "large": file_of(Image.fromarray(photograph(1200, 1500)), "JPEG", quality=85),
}


@pytest.mark.parametrize("kind", FILES)
def test_of_a_file_the_network_sees_the_same_pixels(still, kind):
    image = still.evaluate(
        f"async text => {{ const s = await ({OPEN})(text); return Array.from(s.data); }}", text_of(FILES[kind])
    )
    mine = np.array(image).reshape(64, 64, 3)
    assert np.abs(mine - seen(decode(FILES[kind]), 64).astype(int)).max() <= 1


@pytest.mark.parametrize("size", [(64, 64), (131, 77)])
@pytest.mark.parametrize("colour", ["as_is", "equalized", "grey"])
def test_colour_controls_are_the_same_to_the_last_pixel(still, colour, size):
    image = photograph(*size)
    image[:20] = 255  # ties, which chance breaks: the same chance
    assert np.array_equal(
        in_browser(still, f"fpPixels.coloured(image, '{colour}')", image), coloured(image[None], colour)[0]
    )


ALONE = {  # what the browser does, and the library, with how many levels may lie between
    "blur": ("fpPixels.blurred(image, 5)", lambda some: ATTACKS["blur"](some, 0, strength=5), 1),
    "notch": ("fpPixels.notched(image, 0.7)", lambda some: ATTACKS["notch"](some, 0, strength=0.7), 1),
    "smaller": ("fpPixels.resized(image, 0.9)", lambda some: ATTACKS["resample"](some, 0, strength=0.9), 0),
    "larger": ("fpPixels.resized(image, 1.3)", lambda some: ATTACKS["resample"](some, 0, strength=1.3), 0),
    "handled by a crop": ("(await fpPixels.handled(image))[1]", lambda some: handled(some)[1], 0),
    "handled by resizing": ("(await fpPixels.handled(image))[2]", lambda some: handled(some)[2], 0),
    "JPEG": ("fpJpeg.saved(image, 90)", lambda some: ATTACKS["jpeg"](some, 0, strength=90), 0),
    "handled by JPEG": ("(await fpPixels.handled(image))[0]", lambda some: handled(some)[0], 0),
}


@pytest.mark.parametrize("what", ALONE)
def test_changes_are_the_same(still, what):
    code, library, levels = ALONE[what]
    image = drawn("progan", "test", 5, 1)[0]
    mine, theirs = in_browser(still, code, image), library(image[None])[0].astype(int)
    assert np.abs(theirs - image).max() > 3  # it does something
    assert np.abs(mine - theirs).max() <= levels


@pytest.mark.parametrize("quality", [5, 50, 75, 100])
def test_jpeg_is_the_same_for_every_size_and_quality(still, quality):
    for height, width in ((64, 64), (37, 53), (50, 41)):
        image = photograph(height, width)
        file = file_of(Image.fromarray(image), "JPEG", quality=quality)
        mine = in_browser(still, f"fpJpeg.saved(image, {quality})", image)
        assert np.array_equal(mine, np.array(Image.open(io.BytesIO(file))))


def test_noise_has_the_variance_that_was_asked_for(still):
    image = np.full((64, 64, 3), 128, np.uint8)
    noise = in_browser(still, "fpPixels.noisy(image, 20, 1)", image) - 128
    assert noise.var() == pytest.approx(20, rel=0.05)
    assert abs(noise.mean()) < 0.15
    assert np.array_equal(noise, in_browser(still, "fpPixels.noisy(image, 20, 1)", image) - 128)


def test_the_spectrum_is_that_of_the_luma(still):
    image = photograph(64, 64)
    plane = luma(image, np.float64)
    power = np.abs(np.fft.fftshift(np.fft.fft2(plane - plane.mean()))) ** 2
    height, width, _ = image.shape
    code = f"([text, width, height]) => Array.from(fpPixels.spectrum({{ width, height, data: ({BYTES})(text) }}))"
    found = np.reshape(still.evaluate(code, [text_of(image.tobytes()), width, height]), (height, width))
    assert np.allclose(found, np.log(power + 1), atol=1e-6)


ASK = f"""async ([name, texts, side]) => {{
  const network = await (globalThis.asked ??= {{}}, globalThis.asked[name] ??= fpJudge.network(name)), answers = [];
  for (const text of texts) {{
    const image = {{ width: side, height: side, data: new Uint8ClampedArray(({BYTES})(text)) }};
    const {{ answer, probabilities, evidence, origin, known, agreeing }} = await fpJudge.judged(network, image);
    answers.push({{ answer, probabilities, evidence, origin, known, agreeing }});
  }}
  return answers;
}}"""


def compared(page, judge, name, images):
    """Of images: how often both give the same answer, the same likeliest source, and the largest difference."""
    theirs = judge.judge(images)
    mine = page.evaluate(ASK, [name, [text_of(image.tobytes()) for image in images], images.shape[1]])
    pairs = list(zip(mine, theirs, strict=True))
    shares = (
        np.array([one["probabilities"] for one in mine]),
        np.array([[*one.probabilities.values()] for one in theirs]),
    )
    return {
        "answers": np.mean([one["answer"] == other.answer for one, other in pairs]),
        "origins": np.mean([one["origin"] == other.origin for one, other in pairs]),
        "likeliest": np.mean(shares[0].argmax(1) == shares[1].argmax(1)),
        "probability": np.abs(shares[0] - shares[1]).max(),
        "given": {one.answer for one in theirs},
    }


@cache
def images_of_all_kinds(each):
    """As they are and attacked in every way, of all sources and of strangers: uint8 ``[N, 64, 64, 3]``."""
    sources = ("real", "progan", "sngan", "cramergan", "mmdgan", "vae", "scenes")
    ways = [lambda some, seed: some, *ATTACKS.values()]
    plain = {name: drawn(name, "test", 9, each * len(ways)).reshape(len(ways), each, 64, 64, 3) for name in sources}
    return np.concatenate([way(plain[name][k], seed=k) for name in sources for k, way in enumerate(ways)])


@pytest.mark.parametrize("name", ["plain", "immunized"])
def test_the_browser_and_python_agree(still, judges, name):
    images = images_of_all_kinds(1)
    assert len(images) > 60
    found = compared(still, judges[name], name, images)
    assert found["likeliest"] == 1
    assert found["origins"] == 1
    assert found["probability"] < 1e-4
    assert found["answers"] == 1
    assert {"real", "unknown", "unsure"} <= found["given"]


def test_the_fingerprint_is_the_visualizers(still, visualizer):
    image = drawn("sngan", "test", 3, 1)
    code = f"""async ([text, side]) => {{
      const network = await fpJudge.network("visualizer");
      const image = {{ width: side, height: side, data: new Uint8ClampedArray(({BYTES})(text)) }};
      return (await network.run([image]))[0].fingerprint;
    }}"""
    found = np.reshape(still.evaluate(code, [text_of(image.tobytes()), 64]), (1, 64, 64, 3))
    theirs = visualizer.fingerprints(image)
    assert np.corrcoef(found.ravel(), theirs.ravel())[0, 1] > 0.9999


# --- the page -----------------------------------------------------------------------------------------


def answer(page, name="immunized"):
    """What a network says, first word and all."""
    said = page.locator(".fp-answers p").nth(["plain", "immunized"].index(name)).inner_text()
    return said.split(": ", 1)[1]


def settled(page):
    """Wait until all that was asked is answered."""
    page.wait_for_selector(".fp-try:is([data-state=ready], [data-state=refused])")


def give(page, data, name="file.png", kind="image/png"):
    page.locator(".fp-file input").set_input_files({"name": name, "mimeType": kind, "buffer": data})
    settled(page)


def test_it_answers_from_a_folder_under_a_strict_policy(page, folder, judges):
    opened(page, folder)
    for source in ("real", "sngan", "vae"):
        page.get_by_role("button", name=f"image 2 of the source {source}").click()
        settled(page)
        verdict = judges["immunized"].judge(drawn(source, "test", 0, 3)[1:2])[0]
        assert answer(page).startswith(f"{verdict.answer}. ")
        row = page.locator(".fp-responses tbody tr").filter(has_text=verdict.likeliest)
        assert (
            row.locator(".fp-share").last.inner_text() == f"{100 * verdict.probabilities[verdict.likeliest]:.1f}\u00a0%"
        )
        assert "fp-best" in row.locator("td").last.get_attribute("class")
    assert page.locator("canvas:visible").count() == 3
    assert all(len(canvas.get_attribute("aria-label")) > 20 for canvas in page.locator("canvas:visible").all())
    assert "never leave this machine" in page.inner_text(".fp-try")


def test_all_that_it_takes_is_small_and_comes_only_when_it_is_in_sight(page, folder):
    assert sum(path.stat().st_size for path in (folder / "_static").iterdir()) < 15e6
    far = (folder / "try.html").read_text().replace("<h1>", "<p style='height: 5000px'>Far above.</p><h1>")
    (folder / "far.html").write_text(far.replace("style-src", "style-src 'unsafe-inline'"))
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "far.html").as_uri())
    page.wait_for_timeout(300)
    assert not any("fp-engine" in url for url in asked)
    page.locator(".fp-try").scroll_into_view_if_needed()
    page.wait_for_selector(".fp-try[data-state=ready]")
    assert sum("fp-engine" in url for url in asked) == 1


def test_knobs_change_the_image_and_the_answer_and_the_keyboard_turns_them(page, folder, judges):
    opened(page, folder)
    page.get_by_role("button", name="image 1 of the source progan").click()
    settled(page)
    before, picture = answer(page, "plain"), page.evaluate(PICTURE)
    knob = page.get_by_label("Blur")
    assert knob.get_attribute("aria-valuetext") == "as it is"
    knob.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    settled(page)
    assert knob.get_attribute("aria-valuetext") == "kernel of 5 pixels"
    blurred = ATTACKS["blur"](drawn("progan", "test", 0, 1), 0, strength=5)
    shown = np.reshape(page.evaluate(PICTURE), (64, 64, 4))[..., :3]
    assert np.abs(shown - blurred[0].astype(int)).max() <= 1
    assert answer(page, "plain") != before
    assert answer(page, "plain").startswith(judges["plain"].judge(blurred)[0].answer)
    page.get_by_role("button", name="Back to the image as it is").click()
    settled(page)
    assert page.evaluate(PICTURE) == picture
    assert answer(page, "plain") == before


PICTURE = """() => {
  const canvas = document.querySelector('[data-picture=image] canvas');
  return Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def test_every_knob_does_something(page, folder):
    opened(page, folder)
    before = page.evaluate(PICTURE)
    for slider in page.get_by_role("slider").all():
        slider.focus()
        page.keyboard.press("End")
        settled(page)
        assert page.evaluate(PICTURE) != before, slider.get_attribute("aria-valuetext")
        page.get_by_role("button", name="Back to the image").click()
        settled(page)
        assert page.evaluate(PICTURE) == before


def test_a_large_image_is_mapped_square_by_square(page, folder, judges):
    opened(page, folder)
    tiles = [drawn(name, "test", 3, 1)[0] for name in ("progan", "sngan", "real", "mmdgan")]
    mosaic = np.concatenate([np.concatenate(tiles[:2], 1), np.concatenate(tiles[2:], 1)])
    give(page, file_of(Image.fromarray(mosaic), "PNG"), "mosaic.png")
    named = judges["immunized"].square_map(mosaic).ravel()
    names = [*judges["immunized"].class_names, "unknown"]
    map_ = page.locator("[data-picture=map]")
    assert map_.is_visible()
    for name in {names[k] for k in named}:
        assert f"{sum(names[k] == name for k in named)} {name}" in map_.locator("canvas").get_attribute("aria-label")
    assert answer(page).startswith(("unsure", "unknown"))
    page.get_by_role("button", name="image 1 of the source real").click()
    settled(page)
    assert not map_.is_visible()


def test_guessing_first_hides_the_answer_and_keeps_score(page, folder):
    opened(page, folder)
    page.get_by_role("button", name="Guess first").click()
    for asked in (1, 2):
        assert not page.locator(".fp-answers").is_visible()
        assert not page.locator(".fp-responses").is_visible()
        assert not page.locator("[data-picture=fingerprint]").is_visible()
        assert not page.get_by_role("button", name="image 1 of the source progan").is_visible()
        settled(page)
        told = page.locator("[data-picture=image] canvas").get_attribute("aria-label")
        assert told.startswith("the image to guess")  # who hears the page guesses, too
        page.get_by_role("button", name="none of them").click()
        page.wait_for_selector(".fp-answers:visible")
        said = page.locator(".fp-guess [role=status]").inner_text()
        assert f"of {asked}, the network" in said
        assert said.startswith("Right") == ("a stranger's" in said)
        assert page.evaluate("document.activeElement.textContent") == "Next image"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.textContent") == "real"
    give(page, FILES["small"], "mine.png")  # who brings an image does not guess
    assert page.locator(".fp-answers").is_visible()
    assert page.get_by_role("button", name="Guess first").is_visible()


def test_a_refused_file_costs_a_sentence_and_no_more(page, folder):
    opened(page, folder)
    moving = [PHOTO.resize((20, 20)), PHOTO.transpose(Image.Transpose.ROTATE_180).resize((20, 20))]
    options = {"save_all": True, "append_images": moving[1:]}
    clear = PHOTO.convert("RGBA")
    clear.putalpha(100)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100
    huge = file_of(Image.new("L", (10_000, 10_000)), "PNG")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' width='200' height='200'/>"
    for data, name, kind, sentence in (
        (b"Dear Sir or Madam", "letter.txt", "text/plain", "letter.txt is not an image that this browser can read"),
        (b"", "nothing.png", "image/png", "nothing.png is not an image"),
        (FILES["JPEG"][:300], "cut.jpg", "image/jpeg", "cut.jpg is damaged"),
        (FILES["JPEG"][:-900], "cut.jpg", "image/jpeg", "cut.jpg is damaged"),
        (FILES["PNG"][:-900], "cut.png", "image/png", "cut.png is damaged"),
        (FILES["WebP"][:-900], "cut.webp", "image/webp", "cut.webp is damaged"),
        (file_of(moving[0], "GIF", **options), "moving.gif", "image/gif", "moving.gif holds several frames"),
        (file_of(moving[0], "PNG", **options), "moving.png", "image/png", "moving.png holds several frames"),
        (file_of(moving[0], "WEBP", **options), "moving.webp", "image/webp", "moving.webp holds several frames"),
        (file_of(clear, "PNG"), "clear.png", "image/png", "clear.png is partly transparent"),
        (heic, "photo.heic", "image/heic", "photo.heic is a HEIC file, which this browser cannot read"),
        (huge, "huge.png", "image/png", "huge.png is too large: 10000 x 10000 pixels"),
        (svg, "drawing.svg", "image/svg+xml", "drawing.svg is a drawing without pixels"),
    ):
        give(page, data, name, kind)
        assert sentence in page.inner_text(".fp-status")
    before = page.evaluate(PICTURE)
    give(page, FILES["JPEG"], "photo.jpg", "image/jpeg")
    assert page.inner_text(".fp-status").startswith("Ready")
    assert page.evaluate(PICTURE) != before


def test_a_folder_that_is_dropped_is_refused_and_a_file_is_judged(page, folder):
    opened(page, folder)
    drop = f"""([text, folder, count, where]) => {{
      const data = new DataTransfer(), bytes = ({BYTES})(text);
      for (let k = 0; k < count; k++) data.items.add(new File([bytes], "dropped.png", {{ type: "image/png" }}));
      const event = new DragEvent("drop", {{ bubbles: true, cancelable: true, dataTransfer: data }});
      if (folder) {{
        const items = [{{ webkitGetAsEntry: () => ({{ isDirectory: true }}) }}];
        Object.defineProperty(event, "dataTransfer", {{ value: {{ items, files: [] }} }});
      }}
      return !document.querySelector(where).dispatchEvent(event);
    }}"""
    page.evaluate(drop, [text_of(FILES["small"]), True, 1, ".fp-try"])
    settled(page)
    assert "That is a folder" in page.inner_text(".fp-status")
    page.evaluate(drop, [text_of(FILES["small"]), False, 2, ".fp-try"])
    settled(page)
    assert "Those are 2 files" in page.inner_text(".fp-status")
    beside = page.evaluate(drop, [text_of(FILES["small"]), False, 1, "h1"])
    assert beside, "the browser would leave the page for the file"
    page.wait_for_selector(".fp-answers :text('enlarged')")
    assert "dropped.png" in page.locator("[data-picture=image] canvas").get_attribute("aria-label")


@pytest.mark.parametrize("missing", ["WebAssembly", "DecompressionStream"])
def test_where_no_network_can_run_the_page_says_so_and_what_stood_there_stays(page, folder, missing):
    page.add_init_script(f"delete globalThis.{missing}")
    page.goto((folder / "try.html").as_uri())
    page.wait_for_selector(".fp-try[data-state=failed]")
    text = page.inner_text(".fp-try")
    assert "no network can run" in text or "too old to run a network" in text
    assert "What stands here in the book." in text


def test_on_a_telephone_nothing_is_wider_than_the_page(page, folder):
    page.set_viewport_size({"width": 390, "height": 800})
    opened(page, folder)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for one in page.locator(".fp-try button:visible, .fp-try input:visible").all():
        assert one.bounding_box()["height"] >= 24  # a finger finds it


@pytest.fixture(scope="module")
def firefox(folder):
    if FIREFOX is None:
        pytest.skip("there is no Firefox (apt install firefox-esr)")
    firefox = Firefox()
    firefox.goto((folder / "try.html").as_uri())
    firefox.wait_for_selector(".fp-try[data-state=ready]")
    yield firefox
    firefox.close()


def test_firefox_sees_the_same_pixels(firefox):
    for kind, data in FILES.items():
        image = firefox.evaluate(f"async text => Array.from((await ({OPEN})(text)).data)", text_of(data))
        mine = np.array(image).reshape(64, 64, 3)
        assert np.abs(mine - seen(decode(data), 64).astype(int)).max() <= 1, kind
    for code, library, levels in ALONE.values():
        image = drawn("progan", "test", 5, 1)[0]
        assert np.abs(in_browser(firefox, code, image) - library(image[None])[0].astype(int)).max() <= levels, code


def test_firefox_gives_the_same_answers(firefox, judges, tmp_path):
    images = images_of_all_kinds(1)[::2]
    for name, judge in judges.items():
        found = compared(firefox, judge, name, images)
        assert (found["answers"], found["origins"], found["likeliest"]) == (1, 1, 1)
        assert found["probability"] < 1e-4
    for name, data, state in (("half.jpg", FILES["JPEG"][:9000], "refused"), ("whole.jpg", FILES["JPEG"], "ready")):
        (tmp_path / name).write_bytes(data)
        firefox.give_files(".fp-file input", tmp_path / name)
        firefox.wait_for_selector(f".fp-try[data-state={state}]")
    assert firefox.troubles() == []


def test_an_engine_that_is_not_the_pinned_one_is_refused(tmp_path):
    shutil.copytree(DATA / "engine", tmp_path / "engine")
    (tmp_path / "engine" / "ort.wasm.min.js").write_text("something else")
    with pytest.raises(
        FingerprintsError, match=r"ort\.wasm\.min\.js is not the file that it ought to be: run `make engine`"
    ):
        write_scripts(tmp_path, tmp_path / "engine", {}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["engine"]
