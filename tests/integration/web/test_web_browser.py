"""The pages in a browser: they draw, find, fold, zoom and save, on a desk, in the dark and on a phone."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sqlalchemy import select, update

from schema.frame import Frame
from schema.processes import ProcessAttempt
from tests.integration.small_night import Night
from tests.integration.web.conftest import listening
from tests.servers.browser import browser
from tests.servers.errors import CannotStart

PERIOD = "/period.json"
PHONE = {"width": 390, "height": 844}
INKED = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let inked = 0;
  for (let i = 3; i < data.length; i += 4) inked += data[i] > 0;
  return inked;
}"""

# Where a place of the template is when all of it is shown.
ON_SCREEN = """([x, y]) => {
  const box = document.querySelector(".viewer"), nx = Number(box.dataset.nx), ny = Number(box.dataset.ny);
  const zoom = Math.min(box.clientWidth / nx, box.clientHeight / ny);
  return [box.clientWidth / 2 + (x - nx / 2) * zoom, box.clientHeight / 2 - (y - ny / 2) * zoom];
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    try:
        program = browser()
    except CannotStart as error:
        pytest.fail(f"{error}. On other systems install Chromium or Chrome", pytrace=False)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(processed: Night) -> Iterator[str]:
    with listening(processed.settings) as found:
        yield found


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """A window; whatever a page complains of fails the test."""
    context = chromium.new_context(base_url=address)
    found, complaints = context.new_page(), []
    # That a star has no period is said by a status, of which the console tells.
    found.on("console", lambda message: PERIOD in message.location["url"] or complaints.append(message.text))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    yield found
    context.close()
    assert complaints == []


def test_from_the_nights_to_a_folded_curve_and_its_file(page: Page, processed: Night) -> None:
    number = processed.observation()
    page.goto("/")
    page.get_by_role("link", name="field").click()
    assert page.url.endswith(f"/observation/{number}/field")
    page.wait_for_function("document.querySelector('canvas.marks') !== null")
    expect(page.locator("canvas.sky")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(100)
    assert page.locator("canvas.sky").evaluate(INKED) > 10_000
    assert page.locator("canvas.marks").evaluate(INKED) > 500
    # The brightest star, where the page itself says that it lies.
    stars = page.evaluate("fetch(document.querySelector('.viewer').dataset.source).then(answer => answer.json())")
    x, y = page.evaluate(ON_SCREEN, [stars["x"][0], stars["y"][0]])
    page.locator(".viewer").click(position={"x": x, "y": y})
    page.wait_for_url(f"**/star/{stars['source_id'][0]}*")

    told = page.locator("#curve > .told")
    expect(told).to_contain_text("usable points")
    drawn = page.locator("#curve .plot canvas")
    assert drawn.evaluate(INKED) > 1000
    page.keyboard.press("f")
    page.keyboard.type("0.002")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("period=0.002"))
    page.get_by_label("Bins").fill("1")
    page.get_by_label("Bins").blur()
    assert drawn.evaluate(INKED) > 1000
    page.get_by_label("Aperture").select_option("0")
    expect(told).to_contain_text("aperture")
    page.get_by_role("button", name="Find period").click()
    expect(told).to_contain_text("has no period")
    with page.expect_download() as saved:
        page.get_by_role("link", name="csv", exact=True).click()
    assert saved.value.suggested_filename == f"star-{stars['source_id'][0]}.csv"
    assert saved.value.url.endswith("aperture=0")
    assert saved.value.path().read_text().startswith("observation_id,source_id")


def test_a_star_is_found_by_the_keyboard(page: Page) -> None:
    page.goto("/work")
    page.keyboard.press("/")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.get_by_role("main").get_by_role("link", name="Star 1").click()
    page.wait_for_url("**/star/1")  # its scripts, which hear the keys, too
    expect(page.get_by_role("heading", level=1)).to_contain_text("Star 1")
    page.keyboard.press("c")
    page.wait_for_url("**/candidates")


def test_candidates_are_paged_by_the_keyboard(page: Page, processed: Night) -> None:
    page.goto(f"/observation/{processed.observation()}/candidates")
    told, rows = page.locator("#shown .told"), page.locator("#candidates tbody tr")
    expect(told).to_contain_text(f"Star {rows.nth(0).get_attribute('data-star')}:")
    page.keyboard.press("j")
    second = rows.nth(1).get_attribute("data-star")
    expect(told).to_contain_text(f"Star {second}:")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/star/{second}*")


def test_comparison_stars_are_chosen_and_saved(page: Page, processed: Night) -> None:
    page.goto("/star/1")
    page.get_by_role("link", name="Choose comparison stars by hand").click()
    told = page.locator("#chosen .told")
    expect(told).to_contain_text("scatter")
    before = told.text_content()
    chosen = page.get_by_label("Compare with star").and_(page.locator(":checked"))
    count = chosen.count()
    chosen.first.uncheck()
    expect(told).to_contain_text(f"{count - 1} stars")
    assert told.text_content() != before
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the choice").click()
    assert saved.value.path().read_text().count("manual_references") == 1


@pytest.fixture
def long_named(processed: Night) -> Iterator[int]:
    """A process whose worker's machine has a name without a place to break it."""
    with processed.sessions() as session:
        pid, host = session.execute(select(ProcessAttempt.pid, ProcessAttempt.host).limit(1)).one()
    change = update(ProcessAttempt).where(ProcessAttempt.pid == pid)
    with processed.sessions.begin() as session:
        session.execute(change.values(host="a" * 120))
    yield pid
    with processed.sessions.begin() as session:
        session.execute(change.values(host=host))


@pytest.mark.parametrize("look", ["dark", "phone"])
def test_pages_fit_their_window(chromium: Browser, address: str, processed: Night, long_named: int, look: str) -> None:
    number = processed.observation()
    with processed.sessions() as session:
        frame = session.scalars(select(Frame.image_id).order_by(Frame.jd_utc)).first()
    window = {"viewport": PHONE} if look == "phone" else {"color_scheme": look}
    context = chromium.new_context(base_url=address, **window)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    comparison = f"/observation/{number}/star/1/comparison"
    for path in (f"/observation/{number}", f"/frame/{frame}?star=1", "/star/1", comparison, f"/process/{long_named}"):
        page.goto(path)
        page.wait_for_load_state("networkidle")
        width, window_width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= window_width, path
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (look != "dark")
    context.close()
    assert complaints == []
