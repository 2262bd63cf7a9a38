"""Who draws what no close-up shows, chosen on the page; licences are accepted there."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from refrestore.models import Catalogue
from refrestore.review import routes_jobs


@pytest.fixture
def installed(monkeypatch):
    """Pretend that two files of the catalogue are here: they cannot be had in a test."""
    catalogue = Catalogue.load()
    files = [catalogue["GFPGANv1.4.pth"], catalogue["codeformer.pth"]]
    monkeypatch.setattr(routes_jobs, "installed", lambda runtime: files)


def test_a_licence_is_accepted_before_a_render(installed, review):
    page = review.page
    page.get_by_test_id("view-render").click()
    choice, button = page.get_by_test_id("second-stage"), page.get_by_test_id("render")
    expect(choice).to_be_visible()
    expect(button).to_be_enabled()
    choice.select_option(label="CodeFormer 0.1.0, 512 px; needs the extra codeformer.")
    expect(page.get_by_test_id("stage-licence")).to_contain_text("no commercial use")
    expect(page.get_by_test_id("fidelity")).to_be_visible()
    expect(button).to_be_disabled()
    page.get_by_test_id("accept-licence").check()
    expect(button).to_be_enabled()
    choice.select_option(index=2)
    expect(page.get_by_test_id("accept-licence")).to_have_count(0)
    expect(page.get_by_test_id("stage-licence")).to_contain_text("Apache-2.0")
    expect(button).to_be_enabled()


def test_nothing_is_offered_where_nothing_is_installed(review):
    review.page.get_by_test_id("view-render").click()
    expect(review.page.get_by_test_id("quality")).to_be_visible()
    expect(review.page.get_by_test_id("second-stage")).to_have_count(0)
