"""The page Live, in a real browser with a microphone that plays a wav."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from heyjetson.server.settings import Settings
from tests.heyjetson.server.pages import all_of, find, until
from tests.heyjetson.server.running import complaints, served
from tests.heyjetson.server.test_listen import listening


def test_what_is_said_appears_live(driver, site, folder):
    driver.get(f"{site}/live")
    assert [lamp.text for lamp in all_of(driver, ".lamp")] == ["hey jetson", "computer"]
    assert find(driver, "#empty").is_displayed()
    # A list of one line, so that it is full soon.
    driver.execute_script("document.getElementById('finals').style.maxHeight = '2rem'")
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#partial").text)
    until(driver, lambda _: all_of(driver, ".lamp.lit"))
    assert find(driver, ".lamp.lit").text == "hey jetson"
    assert "hey jetson at 0:0" in find(driver, "#heard").text
    until(driver, lambda _: {"ab ba", "aab"} <= {node.text for node in all_of(driver, "#finals .words")})
    assert find(driver, "#state").text == "Listening"
    finals = find(driver, "#finals")
    bottom = finals.get_property("scrollTop") + finals.get_property("clientHeight")
    assert finals.get_property("scrollHeight") - bottom < 2
    assert bottom > finals.get_property("clientHeight")
    for figure in ("#server-latency", "#round-trip"):
        assert find(driver, figure).text.endswith(" ms")
    assert int(find(driver, "#meter").get_attribute("aria-valuenow")) > -60
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Stopped")
    assert find(driver, "#partial").text == ""
    find(driver, "#downloads [data-kind=txt]").click()
    until(driver, lambda _: (folder / "live.txt").is_file())
    assert "ab ba\naab\n" in (folder / "live.txt").read_text()
    find(driver, "#clear").click()
    assert all_of(driver, "#finals li") == []
    assert complaints(driver) == []


def test_listening_is_started_again_at_once(driver, site):
    driver.get(f"{site}/live")
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Listening")
    until(driver, lambda _: find(driver, "#partial").text)
    driver.execute_script("const start = document.getElementById('start'); start.click(); start.click()")
    until(driver, lambda _: find(driver, "#state").text == "Ending…" or find(driver, "#start").text == "Stop")
    until(driver, lambda _: find(driver, "#start").text == "Stop" and find(driver, "#state").text == "Listening")
    before = len(all_of(driver, "#finals .words"))
    until(driver, lambda _: len(all_of(driver, "#finals .words")) > before)
    assert (find(driver, "#start").text, find(driver, "#state").text) == ("Stop", "Listening")
    assert complaints(driver) == []


def test_options_are_told_while_listening(driver, site):
    driver.get(f"{site}/live")
    find(driver, "summary").click()
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Listening")
    find(driver, "#hot-words").send_keys("Q", Keys.TAB)
    until(driver, lambda _: "cannot write" in find(driver, "#lost").text)
    find(driver, "#hot-words").send_keys(Keys.BACKSPACE, "ab:2", Keys.TAB)
    assert not find(driver, "#lost").is_displayed()
    ActionChains(driver).click(find(driver, "#silence")).send_keys(Keys.HOME).perform()
    until(driver, lambda _: find(driver, "#silence-value").text == "0.3 s")
    until(driver, lambda _: find(driver, "#finals .words"))


def test_a_server_that_is_full_is_asked_again(driver, speech_folder, tmp_path):
    with served(Settings(speech_folder, state=tmp_path, streams=1)) as site:
        with listening(site):
            driver.get(f"{site}/live")
            find(driver, "#start").click()
            until(driver, lambda _: "Trying again" in find(driver, "#state").text)
        until(driver, lambda _: find(driver, "#state").text == "Listening")
        until(driver, lambda _: all_of(driver, "#finals .words"))
        driver.get("about:blank")


def test_a_page_that_is_not_secure_says_why_there_is_no_microphone(driver, site):
    driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument",
        {
            "source": "if (location.search === '?plain') "
            "Object.defineProperty(window, 'isSecureContext', {value: false});"
        },
    )
    for page in ("/", "/live"):
        driver.get(f"{site}{page}?plain")
        until(driver, lambda _: find(driver, "#obstacle").is_displayed())
        assert "https" in find(driver, "#obstacle").text
    assert not find(driver, "#start").is_enabled()


@pytest.mark.parametrize(("name", "sentence"), [("NotAllowedError", "may not use"), ("NotFoundError", "No microphone")])
def test_no_microphone_is_told_in_a_sentence(driver, site, name, sentence):
    driver.get(f"{site}/live")
    driver.execute_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', arguments[0]))", name
    )
    find(driver, "#start").click()
    until(driver, lambda _: sentence in find(driver, "#message").text)
    assert find(driver, "#start").text == "Start listening"


def test_microphones_can_be_chosen(driver, site):
    driver.get(f"{site}/live")
    until(driver, lambda _: len(Select(find(driver, "#device")).options) > 1)
    Select(find(driver, "#device")).select_by_index(1)
    find(driver, "#start").click()
    until(driver, lambda _: find(driver, "#state").text == "Listening")


SOCKET = """
const [told, close, done] = arguments, states = [], lost = [];
class Socket {
  static CLOSING = 2; static OPEN = 1;
  constructor() { this.readyState = 0; Socket.made = this; }
  close() { this.readyState = 3; setTimeout(() => this.onclose({ code: 1006 })); }
}
window.WebSocket = Socket;
import("/static/js/socket.js").then(async ({ ListenSocket }) => {
  const onstate = (...state) => states.push(state), onlost = (seconds) => lost.push(seconds);
  const socket = new ListenSocket({ onevent: () => {}, onstate, onlost });
  socket.connect();
  socket.send(new ArrayBuffer(32000));
  if (told) {
    Socket.made.onmessage({ data: JSON.stringify({ type: "error", message: told }) });
    Socket.made.onclose({ code: close });
  }
  await socket.close();
  setTimeout(() => done([states, lost]), 20);
});
"""


def test_why_a_stream_ended_stays_told(driver, site):
    driver.get(site)
    states, lost = driver.execute_async_script(SOCKET, "The key is not known.", 1008)
    assert states == [["connecting", "Connecting…"], ["closed", "The key is not known."]]
    assert lost == [1]


def test_sound_that_never_went_out_is_told(driver, site):
    driver.get(site)
    states, lost = driver.execute_async_script(SOCKET, "", 0)
    assert states == [["connecting", "Connecting…"], ["closed", "Stopped"]]
    assert lost == [1]


CUT = """
const [done] = arguments, told = [], lost = [];
class Socket {
  static CLOSING = 2; static OPEN = 1;
  constructor() { this.readyState = 1; this.bufferedAmount = 0; Socket.made = this; }
  send() {}
  close() {}
}
window.WebSocket = Socket;
import("/static/js/socket.js").then(async ({ ListenSocket }) => {
  const onevent = ({ type, text, start, end }) => told.push([type, text, start, end]);
  const socket = new ListenSocket({ onevent, onlost: (seconds) => lost.push(seconds) });
  const say = (event) => Socket.made.onmessage({ data: JSON.stringify(event) });
  const words = [{ word: "turn", start: 0.2, end: 0.5 }, { word: "on", start: 0.6, end: 0.9 }];
  const partial = () => say({ type: "partial", text: "turn on", seconds: 1, words });
  socket.connect();
  say({ type: "ready" });
  socket.send(new ArrayBuffer(32000));
  partial();
  Socket.made.bufferedAmount = 16000;
  Socket.made.onclose({ code: 1006 });
  socket.connect();
  say({ type: "ready" });
  partial();
  say({ type: "final", text: "turn on", seconds: 1, start: 0.2, end: 0.9, words: [] });
  Socket.made.onclose({ code: 1006 });
  await socket.close();
  done([told.filter(([type]) => type === "final"), lost]);
});
"""


def test_the_words_of_a_connection_that_is_lost_stay(driver, site):
    driver.get(site)
    finals, lost = driver.execute_async_script(CUT)
    assert finals == [["final", "turn on", 0.2, 0.9], ["final", "turn on", 1.2, 1.9]]
    assert lost == [0.5]


TOLD = """
const [done] = arguments, sent = [], asked = [];
class Socket {
  static CLOSING = 2; static OPEN = 1;
  constructor(address) {
    this.readyState = 1; this.bufferedAmount = 0; Socket.made = this;
    asked.push(address.searchParams.get("x"));
  }
  send(item) { sent.push(typeof item === "string" ? JSON.parse(item).hot : "sound"); }
  close() {}
}
window.WebSocket = Socket;
import("/static/js/socket.js").then(async ({ ListenSocket }) => {
  let hot = 0;
  const socket = new ListenSocket({ onevent: () => {}, options: () => ({ x: hot }) });
  const change = () => { hot += 1; socket.command({ type: "configure", hot }); };
  const ready = () => Socket.made.onmessage({ data: JSON.stringify({ type: "ready" }) });
  socket.connect();
  socket.send(new ArrayBuffer(32));
  change();
  change();
  ready();
  change();
  Socket.made.onclose({ code: 1006 });
  change();
  socket.connect();
  ready();
  done([asked, sent]);
});
"""


def test_a_change_while_it_connects_is_told_before_the_sound(driver, site):
    driver.get(site)
    asked, sent = driver.execute_async_script(TOLD)
    assert asked == ["0", "4"]  # the second connection has the last change in its address
    assert sent == [2, "sound", 3]
