"""The page as people see it: headless Chromium opens it from disk."""

import runpy

import pytest

from lavida_mm.utils import DataError
from lavida_mm.visualization.evaluation_report import write_page
from tests.browser import BROWSER, DRIVER, console_errors, open_browser, page_address, requests
from tests.conftest import ROOT
from tests.test_visualization.test_evaluation_report.reports import HOSTILE, make_report, make_video

pytestmark = pytest.mark.browser
if BROWSER is None or DRIVER is None:
    pytestmark = [pytestmark, pytest.mark.skip(reason='needs the Debian packages chromium and chromium-driver')]


@pytest.fixture(scope='module')
def driver():
    with open_browser() as driver:
        yield driver


@pytest.fixture
def show(driver, tmp_path):
    """Open the page of a report; at the end there must be no error in the console and no request but for the page."""
    address = page_address(tmp_path / 'report.html')

    def show(data):
        write_page(tmp_path / 'report.html', data)
        driver.get(address)
        assert driver.execute_script("return document.documentElement.getAttribute('data-ready')") == 'true'
        return driver

    yield show
    assert console_errors(driver) == []
    assert requests(driver) == [address]


def texts(driver, selector):
    return driver.execute_script(
        'return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)', selector
    )


def names(driver, place):
    return driver.execute_script(
        'return [...document.querySelectorAll(arguments[0])].map((e) => e.getAttribute("data-video"))', place
    )


def click(driver, selector):
    driver.execute_script('document.querySelector(arguments[0]).click()', selector)


def type_text(driver, selector, text):
    from selenium.webdriver.common.by import By

    field = driver.find_element(By.CSS_SELECTOR, selector)
    field.clear()
    field.send_keys(text or ' ')


def choose(driver, selector, value):
    script = (
        'const e = document.querySelector(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event("change"))'
    )
    driver.execute_script(script, selector, value)


def click_head(driver, number):
    click(driver, f'#videos th:nth-child({number}) button')


def test_header_figures_and_undefined(show):
    driver = show(make_report())
    assert texts(driver, 'h1') == [HOSTILE]
    assert 'default, version 1' in texts(driver, '#badges')[0]
    assert 'Part of the benchmark only' in texts(driver, '#badges')[0]
    assert texts(driver, '[data-figure=frame_auc] .value') == ['0.8765']
    assert texts(driver, '[data-figure=frame_auc] .between') == ['95 %: 0.8000 to 0.9000']
    assert texts(driver, '#undefined dd') == ['no masks <i>']
    assert driver.title.startswith('</script>')  # a name, not an order


def test_timelines_are_drawn_with_ground_truth_worst_first(show):
    driver = show(make_report())
    assert names(driver, '.timeline') == [HOSTILE, 'normal', 'quiet']
    box = 'const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.width, b.height]'
    for selector in ('.timeline svg', '.timeline path.curve', '.timeline path.band'):
        width, height = driver.execute_script(box, selector)
        assert width > 800 and height > 50, selector
    truths = driver.execute_script(
        'return [...document.querySelectorAll(".timeline")].map((card) =>'
        ' [...card.querySelectorAll("rect.truth")].map((r) => [+r.getAttribute("x"), +r.getAttribute("width")]))'
    )
    assert truths == [[[pytest.approx(1000 * 10 / 3000), pytest.approx(1000 * 10 / 3000)]], [], [[100, 100]]]
    gaps = driver.execute_script(
        'return document.querySelectorAll(".timeline")[2].querySelector(".curve").getAttribute("d").match(/M/g).length'
    )
    assert gaps == 2  # frames without a score part the line
    assert driver.execute_script('return document.querySelector(".timeline .dot").style.top') == '22px'  # score 0.8
    pictures = driver.execute_script('return [...document.images].map((i) => [i.complete, i.naturalWidth])')
    assert pictures == [[True, 20], [True, 20]]


def test_curves_are_drawn(show):
    driver = show(make_report())
    for place in ('roc', 'pr'):
        assert driver.execute_script(f'return document.querySelector("#{place} path.curve").getTotalLength()') > 300


def test_sorting(show):
    driver = show(make_report())
    assert names(driver, 'tbody tr') == [HOSTILE, 'normal', 'quiet']  # highest false alarm
    click_head(driver, 1)
    assert names(driver, 'tbody tr') == [HOSTILE, 'normal', 'quiet']
    click_head(driver, 1)
    assert names(driver, 'tbody tr') == ['quiet', 'normal', HOSTILE]
    assert (
        driver.execute_script('return document.querySelector("th[aria-sort]").getAttribute("aria-sort")')
        == 'descending'
    )
    click_head(driver, 6)  # frames
    assert names(driver, 'tbody tr') == [HOSTILE, 'quiet', 'normal']
    click_head(driver, 6)
    assert names(driver, 'tbody tr') == ['normal', 'quiet', HOSTILE]
    for _ in range(2):  # a video without an AUC comes last both ways
        click_head(driver, 3)
        assert names(driver, 'tbody tr')[-1] == 'normal'
    choose(driver, '#order', 'frames')
    assert names(driver, '.timeline') == [HOSTILE, 'quiet', 'normal']


def test_filter(show):
    driver = show(make_report())
    type_text(driver, '#filter', 'QUI')
    assert names(driver, 'tbody tr') == names(driver, '.timeline') == ['quiet']
    assert texts(driver, '#count') == ['1 of 3 videos']
    type_text(driver, '#filter', '')
    choose(driver, '#kind', 'normal')
    assert names(driver, 'tbody tr') == ['normal']
    choose(driver, '#kind', 'anomalous')
    assert names(driver, 'tbody tr') == [HOSTILE, 'quiet']


def test_many_videos_come_in_parts(show):
    driver = show(make_report([make_video(f'v{number:03d}', 30, peak=number / 200) for number in range(200)]))
    assert len(names(driver, 'tbody tr')) == 15 and len(names(driver, '.timeline')) == 12
    assert names(driver, '.timeline')[0] == 'v199'
    click(driver, '#more')
    click(driver, '#more-rows')
    assert len(names(driver, 'tbody tr')) == 165 and len(names(driver, '.timeline')) == 24
    click(driver, 'tbody tr[data-video=v050] button')  # a name leads to its timeline
    assert names(driver, '.timeline')[0] == 'v050'


def test_the_pointer_reads_the_curve(show):
    driver = show(make_report())
    read = (
        'const card = document.querySelectorAll(".timeline")[arguments[0]]; const svg = card.querySelector("svg");'
        'const b = svg.getBoundingClientRect();'
        'const event = new PointerEvent("pointermove", {clientX: b.left + arguments[1] * b.width, clientY: b.top + 5});'
        'svg.dispatchEvent(event); return card.querySelector(".readout").textContent'
    )
    assert driver.execute_script(read, 2, 0.155) == 'frame 15, 00:00: score 0.900, anomalous'
    assert driver.execute_script(read, 2, 0.555) == 'frame 55, 00:02: not scored, normal'
    assert driver.execute_script(read, 1, 0.0) == 'frame 0: score 0.400, normal'
    assert driver.execute_script(read, 0, 0.999) == 'frames 2,997 to 2,999, 01:59: score 0.000 to 9.0e-4, normal'


def test_scale_and_theme_can_be_changed(show):
    driver = show(make_report())
    path = 'return document.querySelectorAll(".timeline")[2].querySelector(".curve").getAttribute("d")'
    common = driver.execute_script(path)
    choose(driver, '#scale', 'own')
    assert driver.execute_script(path) != common
    colour = 'return getComputedStyle(document.body).backgroundColor'
    before = driver.execute_script(colour)
    click(driver, '#theme')
    assert driver.execute_script(colour) != before
    click(driver, '#theme')
    assert driver.execute_script(colour) == before


def test_a_report_without_ground_truth_is_still_a_report(show):
    video = make_video('only scores', 60)
    video.labels = video.auc = None
    driver = show(make_report([video], figures={}, intervals={}, roc=None, pr=None))
    assert names(driver, '.timeline') == ['only scores']
    assert driver.execute_script('return document.querySelector("#curves").hidden')
    assert 'AUC –' in texts(driver, '.facts')[-1]


def test_the_picture_of_the_guide_is_made(tmp_path):
    from PIL import Image

    tool = runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / 'make_report_picture.py'))
    write_page(tmp_path / 'report.html', make_report())
    tool['main']([str(tmp_path / 'report.html'), '--out', str(tmp_path / 'picture.png'), '--timelines', '1'])
    with Image.open(tmp_path / 'picture.png') as picture:
        assert picture.width == 1180
        assert 900 < picture.height < 2500
    with pytest.raises(DataError, match=r'nothing\.html: report not found'):
        tool['main']([str(tmp_path / 'nothing.html')])
