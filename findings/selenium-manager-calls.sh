#!/usr/bin/env bash
# selenium 4.51.0: its manager, which looks for a driver where none was named, sends statistics to plausible.io and asks for
# versions even where browser and driver are installed. SE_AVOID_STATS=true and SE_OFFLINE=true stop it. Needs strace.
#
# Seen:
#   by itself: yes    with both: no
set -euo pipefail
source "$(dirname "$0")/common.sh"
[ -n "$TRACE" ] || { echo "strace is missing: apt-get install strace" >&2; exit 2; }
prepare selenium==4.51.0

manager() { # name, settings
    mkdir "$1"
    env HOME="$PWD/$1" "${@:2}" strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o "$1.calls" venv/bin/python -c "
from selenium.common import WebDriverException
from selenium.webdriver.common.selenium_manager import SeleniumManager
try:
    SeleniumManager().binary_paths(['--browser', 'chrome'])
except WebDriverException:
    pass  # neither browser nor network"
}
manager itself
manager told SE_AVOID_STATS=true SE_OFFLINE=true
for name in itself told; do echo "$name: $(lookups $name.calls)"; done
expect "by itself" "$(lookups itself.calls)" yes
expect "told" "$(lookups told.calls)" no
