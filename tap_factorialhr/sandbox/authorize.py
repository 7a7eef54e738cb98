"""The page on which a person lets a client in, as RFC 6749 (section 4.1) has it, and what its buttons do.

The API notes say nothing of this page of Factorial's but that it exists: a code comes of it, which serves once.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.responses import HTMLResponse, RedirectResponse

from tap_factorialhr.sandbox.oauth import OUT_OF_BAND, OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from tap_factorialhr.sandbox.oauth import OAuth

PATH = "/oauth/authorize"
_PASSED_ON = ("response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method")
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 1.1em sans-serif; max-width: 32em; margin: 4em auto }} button {{ font: inherit }}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def ask(oauth: OAuth, asked: Mapping[str, str]) -> Response:
    """The page with the question, or where a request that is wrong leads."""
    if refusal := _refused(oauth, asked):
        return refusal
    hidden = "\n".join(
        f'<input type="hidden" name="{name}" value="{escape(asked[name])}">' for name in _PASSED_ON if name in asked
    )
    body = (
        f"<p>The application <b>{escape(asked['client_id'])}</b> asks to read the simulated company.</p>\n"
        f'<form method="post" action="{PATH}">\n{hidden}\n'
        '<button name="decision" value="allow" id="allow">Authorise</button>\n'
        '<button name="decision" value="deny" id="deny">Deny</button>\n</form>'
    )
    return _page("Let an application in?", body)


def decide(oauth: OAuth, form: Mapping[str, str]) -> Response:
    """Send the browser back with a code, or with what speaks against one."""
    if refusal := _refused(oauth, form):
        return refusal
    if form.get("decision") != "allow":
        return _back(form, error="access_denied")
    redirect_uri = form["redirect_uri"]
    code = oauth.issue_code(redirect_uri, form.get("code_challenge", ""))
    if redirect_uri == OUT_OF_BAND:
        return _page("Your code", f'<p>Copy it to the application: <code id="code">{escape(code)}</code></p>')
    return _back(form, code=code)


async def parameters(request: Request) -> dict[str, str]:
    """The parameters of a request, from its query or its form; of one that comes twice, the last."""
    text = (await request.body()).decode("utf-8", "replace") if request.method == "POST" else request.url.query
    return dict(parse_qsl(text, keep_blank_values=True))


def _refused(oauth: OAuth, asked: Mapping[str, str]) -> Response | None:
    """What a request that is wrong leads to, None where nothing is."""
    # Nobody is sent to an address that may be an attacker's (RFC 6749, section 4.1.2.1).
    if asked.get("client_id") != oauth.client_id:
        return _page("No such application", "<p>The client id is not known.</p>", 400)
    if not oauth.knows_redirect(asked.get("redirect_uri", "")):
        return _page("Not the address that is registered", "<p>The redirect URI is not the application's.</p>", 400)
    try:
        oauth.check_authorization(asked)
    except OAuthError as error:
        return _back(asked, error=error.error)
    return None


def _back(asked: Mapping[str, str], **answer: str) -> Response:
    if asked["redirect_uri"] == OUT_OF_BAND:
        return _page("No code", f"<p>{escape(answer['error'])}</p>", 400)
    if "state" in asked:
        answer["state"] = asked["state"]
    parts = urlsplit(asked["redirect_uri"])
    query = "&".join(filter(None, (parts.query, urlencode(answer))))
    return RedirectResponse(parts._replace(query=query).geturl(), 302)


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body), status)
