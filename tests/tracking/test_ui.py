"""What a person sees of a sweep in MLflow's pages, through a browser.

With ``QEXP_SCREENSHOT=FILE`` the comparison of two runs is kept as an image:

    QEXP_SCREENSHOT=docs/images/mlflow-compare.png .venv/bin/pytest -m "" tests/tracking/test_ui.py
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from servers import MlflowServer

pytestmark = pytest.mark.servers

TINY = ("plots=false", "env.tasks=25", "eval.episodes=5", "eval.baselines=[mct]")
NAMES = ("mct-25tasks-seed0", "weighted-25tasks-seed0")
PATIENCE = 90_000  # milliseconds that a page may take on a busy machine


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, begin):
    """An MLflow server over a sweep's run and its two jobs, made by qexp."""
    from qexp.tracking import Local

    folder = tmp_path_factory.mktemp("ui")
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with Local(uri=store).start("sweep of schedulers") as parent:
        for scheduler in ("mct", "weighted"):
            process = begin(
                "qexp",
                *(f"scheduler={scheduler}", f"tracking.uri={store}", *TINY, f"hydra.run.dir={scheduler}"),
                cwd=folder,
                env={"QEXP_PARENT_RUN_ID": parent.run_id},
            )
            out, err = process.communicate()
            assert (process.returncode, err) == (0, ""), out
    server = MlflowServer(folder / "server", store)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def page():
    """A page of a headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 800}, device_scale_factor=1)
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def test_a_sweep_can_be_found_and_two_of_its_runs_compared(sweep, page):
    page.goto(f"{sweep.uri}/#/experiments")
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name="qexp", exact=True).click()

    rows = page.get_by_role("row")
    parent = rows.filter(has_text="sweep of schedulers").first
    parent.wait_for()
    for name in NAMES:
        assert rows.filter(has_text=name).count() == 0, "jobs are folded into their sweep"
    parent.get_by_role("button").first.click()
    for name in NAMES:
        page.get_by_text(name).wait_for()
        index = rows.filter(has_text=name).first.get_attribute("row-index")
        page.locator(f'[role=row][row-index="{index}"] input[type=checkbox]').first.click()

    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Comparing 2 Runs from 1 Experiment").wait_for()
    for name in NAMES:
        page.get_by_text(name).first.wait_for()
    for shown in ("env.arrivals", "scheduler", "eval/chosen/total_completion_time_mean"):
        page.get_by_text(shown, exact=True).first.wait_for(state="attached")
    text = page.locator("body").inner_text()
    assert "_target_" not in text
    assert "qexp." not in text, "classes' names are not what a person compares"

    if image := os.environ.get("QEXP_SCREENSHOT"):
        _keep(page, Path(image))


def _keep(page, image):
    """Photograph the tables of what differs, without plots, and without the folders of the runs."""
    page.get_by_role("button", name="Close", exact=True).click()
    for section in ("Tags", "Artifacts", "Run details", "Visualizations"):
        page.get_by_role("button", name=section).click()
    for switch in page.get_by_text("Show diff only").all():
        if switch.is_visible():
            switch.click()
    page.get_by_role("heading", name="Comparing 2 Runs").scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # sections fold slowly
    page.screenshot(path=image)
