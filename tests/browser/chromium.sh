#!/bin/sh
# Makes sure that there is a Chromium for the browser tests, and says what was done.
#     sh tests/browser/chromium.sh PLAYWRIGHT
# It never fails: without a browser the tests say that there is none.
playwright=$1

for name in chromium chromium-browser google-chrome; do
    if found=$(command -v "$name"); then
        echo "Browser tests use $found."
        exit 0
    fi
done

as_root=
[ "$(id -u)" = 0 ] || as_root="sudo -n"
if command -v apt-get > /dev/null && $as_root true 2> /dev/null; then
    ($as_root apt-get update && $as_root apt-get install -y chromium) > /dev/null 2>&1
    if found=$(command -v chromium); then
        echo "Chromium was installed by apt-get for the browser tests."
        exit 0
    fi
fi

if "$playwright" install chromium > /dev/null 2>&1; then
    echo "Playwright's Chromium serves the browser tests."
else
    echo "No Chromium could be had: install one, or the browser tests cannot run."
fi
