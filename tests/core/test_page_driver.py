"""The page driver does what a browser does with plain HTML, and what htmx 2.0.10 does with its attributes."""

from collections.abc import Callable

import httpx2
import pytest
from fastapi import FastAPI, Request
from starlette.datastructures import UploadFile
from starlette.responses import HTMLResponse, RedirectResponse, Response

from project.core.testing import dom
from project.core.testing.htmx import HtmxPage
from project.core.testing.pages import Page, PageError

pytestmark = pytest.mark.any_database

Make = Callable[..., httpx2.AsyncClient]
CONFIG = """<meta name="htmx-config" content='{"responseHandling":[{"code":"204","swap":false},
{"code":"[23]..","swap":true},{"code":"422|409","swap":true},{"code":"[45]..","swap":false,"error":true}]}'>"""


@pytest.fixture
def site() -> FastAPI:
    """An app whose /echo answers what was sent, by name in the order sent."""
    app = FastAPI()
    app.state.seen = []

    @app.api_route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def echo(request: Request) -> Response:
        app.state.seen.append(request.headers)
        pairs = list(request.query_params.multi_items())
        async with request.form() as form:
            for key, value in form.multi_items():
                if isinstance(value, UploadFile):
                    pairs.append((key, f"{value.filename}:{value.content_type}:{(await value.read()).decode()}"))
                else:
                    pairs.append((key, value))
        said = "&".join(f"{key}={value!r}" for key, value in pairs)
        return HTMLResponse(f"<title>Echo</title><p id=echo>{request.method} {said}</p>")

    @app.get("/answer")
    async def answer(request: Request, status: int = 200, body: str = "") -> Response:
        headers = {key: value for key, value in request.query_params.items() if key.startswith("HX-")}
        return HTMLResponse(body, status, headers)

    @app.api_route("/moved/{status}", methods=["GET", "POST"])
    async def moved(status: int, to: str = "/echo") -> Response:
        return RedirectResponse(to, status)

    return app


@pytest.fixture
def client(site: FastAPI) -> httpx2.AsyncClient:
    """A client on that app."""
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site), base_url="http://test.example")


@pytest.fixture
def show(site: FastAPI) -> Callable[[str], str]:
    """Put a page at an address, and return it: `await page.open(show("<form>…"))`."""

    def put(body: str, url: str = "/page", head: str = "<title>Page</title>") -> str:
        html = f"<!doctype html><html><head>{CONFIG}{head}</head><body>{body}</body></html>"
        site.add_api_route(url, lambda: HTMLResponse(html))
        return url

    return put


Show = Callable[..., str]
FIELDS = """<h1>All <em>fields</em></h1><form action="/echo" method="{method}" {more}>
  <input type="hidden" name="token" value="t0">
  <label for="m">E-mail</label> <input id="m" type="email" name="email" value="old">
  <label>Words <textarea name="words">
first</textarea></label>
  <label><input type="checkbox" name="keep" checked> Keep me</label>
  <label><input type="checkbox" name="tags" value="a"> A</label>
  <label><input type="checkbox" name="tags" value="b"> B</label>
  <fieldset><legend>Size</legend>
    <label><input type="radio" name="size" value="s" checked> Small</label>
    <label><input type="radio" name="size" value="l"> Large</label></fieldset>
  <label>State <select name="state"><option>Draft</option><option value="live">Live now</option></select></label>
  <label>Many
    <select name="many" multiple><option>1</option><option selected>2</option><option>3</option></select></label>
  <input name="off" value="x" disabled> <fieldset disabled><input name="off2" value="x"></fieldset>
  <input value="nameless"> <label>Fixed <input name="fixed" value="f" readonly></label>
  <button name="do" value="save">Save</button> <button name="do" value="other">Other</button>
  <input type="submit" value="Elsewhere" formaction="/echo?by=button" formmethod="get">
</form><label>Outside <input name="outside" form="none"></label>"""


@pytest.mark.parametrize("make", [Page, HtmxPage])
async def test_a_form_sends_what_a_browser_sends(make: type[Page], client: httpx2.AsyncClient, show: Show) -> None:
    page = make(client)
    await page.open(show(FIELDS.format(method="post", more="")))
    assert page.heading == "All fields"
    await page.submit("Save")
    usual = "POST token='t0'&email='old'&words='first'&keep='on'&size='s'&state='Draft'&many='2'&fixed='f'&do='save'"
    assert page.text == usual


async def test_filled_by_the_words_people_see(page: Page, show: Show) -> None:
    page.open(show(FIELDS.format(method="post", more=""))).fill("E-mail", "a+b@x.y").fill("Words", "\none\ntwo & <3")
    await (
        page.uncheck("Keep me").check("B").choose("Size", "Large").choose("State", "Live now").choose("Many", "1", "3")
    )
    await page.submit("Other")
    assert page.text == (
        r"POST token='t0'&email='a+b@x.y'&words='\r\none\r\ntwo & <3'&tags='b'&size='l'&state='live'"
        "&many='1'&many='3'&fixed='f'&do='other'"
    )


async def test_the_button_may_say_where_and_how(page: Page, show: Show) -> None:
    await page.open(show(FIELDS.format(method="post", more=""))).check("A").submit("Elsewhere")
    assert page.text.startswith("GET token='t0'&email='old'")
    assert page.url.startswith("/echo?token=t0")


async def test_a_get_form_puts_its_fields_into_the_address_in_place_of_what_was_there(page: Page, show: Show) -> None:
    form = '<form action="/echo?old=1"><label>Search <input name="q"></label><button>Find</button></form>'
    await page.open(show(form)).fill("Search", "ä b").submit()
    assert (page.url, page.text) == ("/echo?q=%C3%A4+b", "GET q='ä b'")


@pytest.mark.parametrize("make", [Page, HtmxPage])
async def test_files_go_as_files_when_the_form_says_so(
    make: type[Page], client: httpx2.AsyncClient, show: Show
) -> None:
    body = """<form action="/echo" method="post" enctype="multipart/form-data" {}><input name="a" value='"'>
        <label>Photo <input type="file" name="photo" multiple></label><input type="file" name="none">
        <button>Send</button></form>"""
    page = make(client)
    if make is HtmxPage:
        body = body.format('hx-post="/echo" hx-target="body"')
    await page.open(show(body)).attach("Photo", b"1", "ä.png", "image/png").attach("Photo", b"2", "b.txt").submit()
    sent = "POST a='\"'&photo='ä.png:image/png:1'&photo='b.txt:application/octet-stream:2'"
    assert page.text == (f"{sent}&none=':application/octet-stream:'" if make is Page else sent)


async def test_a_control_may_stand_outside_its_form(page: Page, show: Show) -> None:
    body = """<form id="f" action="/echo" method="post"></form><label>Far <input name="far" form="f"></label>
        <button form="f">Go</button>"""
    await page.open(show(body)).fill("Far", "away").submit("Go")
    assert page.text == "POST far='away'"


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
async def test_redirects_follow_the_rules_of_methods(page: Page, show: Show, status: int, method: str) -> None:
    await page.open(show(f'<form method="post" action="/moved/{status}"><input name="a" value="1"><button>Go</button>'))
    await page.submit()
    assert page.text == ("POST a='1'" if method == "POST" else "GET")
    assert page.history[-2:] == [(status, f"/moved/{status}"), (200, "/echo")]
    assert page.url == "/echo"


async def test_requests_carry_what_the_guard_looks_at(page: Page, show: Show, site: FastAPI) -> None:
    await page.open("/echo")
    assert site.state.seen[-1]["sec-fetch-site"] == "none"
    assert "referer" not in site.state.seen[-1]
    await page.open(show('<form method="post" action="/echo"><button>Go</button></form>')).submit()
    seen = site.state.seen[-1]
    assert [seen[f"sec-fetch-{key}"] for key in ("site", "mode", "dest")] == ["same-origin", "navigate", "document"]
    assert (seen["origin"], seen["referer"]) == ("http://test.example", "http://test.example/page")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (lambda page: page.fill("Email", "x"), "/page has no field 'Email'. It has: 'E-mail', "),
        (lambda page: page.fill("Twice", "x"), "/page has 2 fields 'Twice': say which one by .inside(css) before."),
        (lambda page: page.fill("Off", "x"), "The field 'Off' of /page is disabled or read-only."),
        (lambda page: page.fill("Keep", "x"), "'Keep' is a checkbox: use .check(), not .fill()."),
        (lambda page: page.check("E-mail"), "The field 'E-mail' of /page is no checkbox or radio: it is a email."),
        (lambda page: page.choose("State", "Dead"), "/page has no option 'Dead'. It has: 'Read', 'Done'."),
        (lambda page: page.submit("Safe"), "/page has no button 'Safe'. It has: 'Save', 'Never'."),
        (lambda page: page.submit("Never"), "The button 'Never' of /page is disabled or read-only."),
        (lambda page: page.submit(), "/page has 2 buttons that send a form: name one by its words."),
        (lambda page: page.click("Lost"), "/page has no link or button 'Lost'. It has: "),
        (lambda page: page.inside("#no").fill("E-mail", "x"), "/page has nothing that matches '#no'."),
        (lambda page: page.click("Away"), "http://test.example/page leads to another site: https://example.com"),
    ],
)
async def test_what_a_person_could_not_do_is_a_sentence(
    page: Page, show: Show, step: Callable[[Page], Page], words: str
) -> None:
    await page.open(
        show("""<form><label>E-mail <input name="e" type="email"></label>
        <label>Twice <input></label><label>Twice <input></label><label>Off <input disabled></label>
        <label>Keep <input type="checkbox"></label><label>State <select><option>Read<option>Done</select></label>
        <button>Save</button><button disabled>Never</button></form><a href="https://example.com">Away</a>""")
    )
    with pytest.raises(PageError) as raised:
        await step(page)
    assert str(raised.value).startswith(words)


async def test_a_forgotten_await_is_told(page: Page) -> None:
    page.open("/echo")
    with pytest.raises(PageError, match="put `await` before them"):
        _ = page.status


async def test_htmx_swaps_where_its_attributes_say(htmx_page: HtmxPage, show: Show) -> None:
    page = htmx_page
    for how, expected in {
        "innerHTML": '<b>old</b> <i>new</i>|<p id="t">E</p>',
        "outerHTML": "E",
        "beforebegin": 'E<p id="t">old</p>',
        "afterend": '<p id="t">old</p>E',
        "afterbegin": '<p id="t">Eold</p>',
        "beforeend": '<p id="t">oldE</p>',
        "delete": "",
        "none": '<p id="t">old</p>',
    }.items():
        url = show(
            f'<main><p id="t">old</p></main><a href="#" hx-get="/answer?body=E" hx-target="#t" hx-swap="{how}">Go</a>',
            f"/{how}",
        )
        await page.open(url).click("Go")
        main = page.document.css_first("main")
        assert main is not None
        assert main.inner_html == expected.rpartition("|")[2], how
    assert page.url == "/none"


async def test_htmx_inherits_includes_and_sends_its_headers(htmx_page: HtmxPage, show: Show, site: FastAPI) -> None:
    await htmx_page.open(
        show("""<div hx-target="find p" hx-vals='{"v": 1, "w": "old"}' hx-headers='{"X-One": "1"}'>
        <section id="s" name="sec" hx-put="/echo" hx-vals='"w": "new"' hx-include="#extra, closest div" hx-trigger="go">
        <p id="goal"></p></section><input name="near" value="n"></div>
        <form id="extra"><input name="far" value="f"></form>""")
    )
    await htmx_page.fire("go", "#s")
    assert htmx_page.text == "PUT near='n'&far='f'&w='new'&v='1'"
    seen = site.state.seen[-1]
    assert seen["hx-request"] == "true"
    assert [seen[f"hx-{key}"] for key in ("trigger", "trigger-name", "target")] == ["s", "sec", "goal"]
    assert (seen["hx-current-url"], seen["x-one"]) == ("http://test.example/page", "1")
    assert (seen["sec-fetch-mode"], seen["origin"]) == ("cors", "http://test.example")
    assert "hx-boosted" not in seen


async def test_one_field_asks_the_server_when_it_is_left(htmx_page: HtmxPage, show: Show) -> None:
    await htmx_page.open(
        show(
            """<form action="/nowhere" method="post"><input type="hidden" name="token" value="t">
        <label for="e">E-mail</label><input id="e" name="email" hx-post="/echo" hx-trigger="blur" hx-target="next"
        hx-swap="innerHTML"></form><output></output>""".replace('hx-target="next"', 'hx-target="output"')
        )
    )
    await htmx_page.fill("E-mail", "a@b.c").blur("E-mail")
    assert htmx_page.text == "E-mail POST token='t'&email='a@b.c'"


async def test_htmx_keeps_line_ends_and_spoils_files_as_the_real_one_does(htmx_page: HtmxPage, show: Show) -> None:
    fields = (
        '<label for="t">Text</label><textarea id="t" name="t"></textarea><input type="file" name="f" id="f" title="F">'
    )
    await htmx_page.open(show(f'<form hx-post="/echo">{fields}<label for="f">File</label><button>Go</button></form>'))
    await htmx_page.fill("Text", "one\ntwo").attach("File", b"1", "a.txt").submit()
    assert htmx_page.text == "POST t='one\\ntwo'&f='[object File]'"


async def test_a_pressed_button_may_say_where_and_how_over_htmx(htmx_page: HtmxPage, show: Show) -> None:
    button = '<button formaction="/echo?by=button" formmethod="get">Go</button>'
    form = f'<form method="post" action="/nowhere"><input name="a" value="1">{button}</form>'
    await htmx_page.open(show(f'<div hx-boost="true">{form}</div>')).submit()
    assert (htmx_page.text, htmx_page.url) == ("GET by='button'&a='1'", "/echo?by=button&a=1")


async def test_inheritance_can_be_barred_and_unset(htmx_page: HtmxPage, show: Show) -> None:
    show("""<div hx-target="#out" hx-disinherit="hx-target"><button hx-get="/answer?body=here">One</button></div>
        <div hx-target="#out"><button hx-get="/answer?body=there" hx-target="unset">Two</button></div>
        <div hx-target="#out"><button hx-get="/answer?body=out">Three</button></div><p id="out"></p>""")
    await htmx_page.open("/page").click("One").click("Two").click("Three")
    assert htmx_page.text == "here there Three out"


async def test_a_get_sends_what_htmx_lets_it_send(htmx_page: HtmxPage, show: Show) -> None:
    button = '<button type="button" name="b" value="2" hx-get="/echo" hx-target="body">Alone</button>'
    form = f'<form hx-boost="true" action="/echo?old=1"><input name="a" value="1">{button}<button>All</button></form>'
    await htmx_page.open(show(form)).click("Alone")
    assert htmx_page.text == "GET b='2'"
    await htmx_page.open("/page").submit("All")
    assert htmx_page.url == "/echo?a=1"


async def test_a_text_that_begins_with_an_empty_line_keeps_it_when_swapped_in(htmx_page: HtmxPage, show: Show) -> None:
    area = "<textarea name=a>%0A%0Ax</textarea>"
    await htmx_page.open(show(f'<p></p><button hx-get="/answer?body={area}" hx-target="p">Go</button>')).click("Go")
    assert [dom.value(each) for each in htmx_page.document.css("textarea")] == ["\nx"]


async def test_out_of_band_parts_titles_and_templates_find_their_places(htmx_page: HtmxPage, show: Show) -> None:
    rows = (
        "<title>New</title><tr id=two><td>2</td></tr><p id=flash hx-swap-oob=true>Done</p>"
        "<template><tbody hx-swap-oob='beforeend:%23rows'><tr><td>3</td></tr></tbody></template>"
    )
    await htmx_page.open(
        show(f"""<p id="flash"></p><table><tbody id="rows"><tr id="one"><td>1</td></tr></tbody></table>
        <button hx-get="/answer?body={rows}" hx-target="#one" hx-swap="outerHTML show:top">Go</button>""")
    )
    await htmx_page.click("Go")
    table = htmx_page.document.css_first("tbody")
    assert table is not None
    assert [each.html for each in table.css("td")] == ["<td>2</td>", "<td>3</td>"]
    assert (htmx_page.title, htmx_page.text.split()[0]) == ("New", "Done")
    assert not htmx_page.document.css("template")


async def test_boosted_links_and_forms_swap_the_body_and_move_on(
    htmx_page: HtmxPage, show: Show, site: FastAPI
) -> None:
    show("<h1>Next</h1><template id=t><b>kept</b></template>", "/next", "<title>Next page</title>")
    body = """<a href="/next">On</a>
        <form method="post" action="/echo"><input name="a" value="1"><button>Send</button></form>
        <form action="/moved/303?to=/next" method="post" hx-boost="false"><button>Plainly</button></form>"""
    page = await htmx_page.open(show(f'<div hx-boost="true">{body}</div>')).click("On")
    assert (page.url, page.title, page.heading) == ("/next", "Next page", "Next")
    template = page.document.css_first("#t")
    assert template is not None
    assert template.template_fragments()[0].html == "<b>kept</b>"
    await page.open("/page").submit("Send")
    assert (page.url, page.text, page.title) == ("/echo", "POST a='1'", "Echo")
    assert site.state.seen[-1]["hx-boosted"] == "true"
    await page.open("/page").submit("Plainly")
    assert page.url == "/next"


@pytest.mark.parametrize(
    ("headers", "url", "text"),
    [
        ("HX-Redirect=/echo", "/echo", "GET"),
        ("HX-Redirect=/echo&status=204", "/echo", "GET"),
        ("HX-Location=/echo", "/echo", "GET"),
        ('HX-Location={"path":"/echo","target":"%23t"}', "/echo", "GET Go"),
        ("HX-Refresh=true&body=x", "/page", "old Go"),
        ("HX-Push-Url=/here&body=x", "/here", "x Go"),
        ("HX-Retarget=main&HX-Reswap=outerHTML&body=x", "/page", "x"),
        ("HX-Reselect=i&body=<b>1</b><i>2</i>", "/page", "2 Go"),
        ("status=204&body=", "/page", "old Go"),
        ("status=422&body=wrong", "/page", "wrong Go"),
    ],
)
async def test_the_headers_of_an_answer_count(
    htmx_page: HtmxPage, show: Show, headers: str, url: str, text: str
) -> None:
    button = f"<button hx-get='/answer?{headers}' hx-target='#t'>Go</button>"
    await htmx_page.open(show(f"<main><p id=t>old</p> {button}</main>")).click("Go")
    assert (htmx_page.url, htmx_page.text) == (url, text)


async def test_events_of_an_answer_reach_who_listens(htmx_page: HtmxPage, show: Show) -> None:
    await htmx_page.open(
        show("""<button hx-get="/answer?HX-Trigger=saved" hx-swap="none">Go</button>
        <ul hx-get="/echo" hx-trigger="saved from:body"></ul><p hx-get="/answer?body=loaded" hx-trigger="load"></p>""")
    )
    assert htmx_page.text == "Go loaded"
    await htmx_page.click("Go")
    assert (htmx_page.events, htmx_page.text) == (["saved"], "Go GET loaded")


@pytest.mark.parametrize(
    "attributes",
    [
        'hx-get="/echo" hx-ext="ws"',
        'hx-get="/echo" hx-swap="morph"',
        'hx-get="/echo" hx-swap="innerHTML bounce:1"',
        'hx-get="/echo" hx-target="next p"',
        'hx-get="/echo" hx-vals="js:{a: 1}"',
        'hx-get="/echo" hx-params="not a"',
        'hx-get="/echo" data-hx-target="p"',
        'hx-get="/echo" hx-trigger="click[ctrlKey]"',
        'hx-get="/echo" hx-target="#nothing"',
    ],
)
async def test_what_it_does_not_know_of_htmx_is_an_error(htmx_page: HtmxPage, show: Show, attributes: str) -> None:
    with pytest.raises(PageError, match=r"does not know|forbids|nothing that matches"):
        await htmx_page.open(show(f"<button {attributes}>Go</button>")).click("Go")


async def test_a_failure_is_shown_in_the_words_of_the_error_page(htmx_page: HtmxPage, show: Show) -> None:
    trouble = '<h1>x</h1><p id="trouble-message">Slow &amp; easy.</p>'.replace('"', "%22").replace("&", "%26")
    await htmx_page.open(
        show(f"""<div id="flashes"></div><p id="t">old</p>
        <template id="trouble" data-unknown="Odd."><div role="alert"><p></p><button>x</button></div></template>
        <button hx-get='/answer?status=429&body={trouble}' hx-target="#t">One</button>
        <button hx-get='/answer?status=500&body=x' hx-target="#t">Two</button>""")
    )
    await htmx_page.click("One")
    assert (htmx_page.messages, htmx_page.status) == (["Slow & easy."], 429)
    await htmx_page.click("Two")
    assert htmx_page.messages == ["Odd."]
    assert "old" in htmx_page.text
