"""What is shown on a control is in its spoken name, so that it can be called by what one sees."""

from __future__ import annotations

import re

from playwright.sync_api import expect

SPOKEN_OTHERWISE = """() => {
  const words = (text) => text.toLowerCase().replace(/[^\\p{L}\\p{N}]+/gu, " ").trim();
  const controls = "a, button, input, [role=option], [role=radio], [role=checkbox], [role=slider]";
  return [...document.querySelectorAll(controls)]
    .filter((one) => one.hasAttribute("aria-label") && one.checkVisibility())
    .map((one) => [words(one.innerText), words(one.ariaLabel)])
    .filter(([seen, spoken]) => !` ${spoken} `.includes(` ${seen} `.replace("  ", " ")));
}"""
"""Pairs of what is seen and what is spoken instead."""


def test_controls_are_called_what_they_show(review):
    page = review.page
    card = review.card(1)
    card.get_by_test_id("select").check(force=True)
    page.keyboard.press("l")
    expect(card.locator(".badge")).to_have_text("Left alone")
    assert page.evaluate(SPOKEN_OTHERWISE) == []
    review.go("people/1")
    tile = page.get_by_test_id("track").first
    shown = tile.inner_text().split()
    assert len(shown) == 2  # when, and how like the others
    expect(tile).to_have_attribute("aria-label", re.compile("^" + re.escape(" ".join(shown))))
    page.get_by_test_id("history").click()
    assert page.evaluate(SPOKEN_OTHERWISE) == []
