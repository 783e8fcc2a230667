"""How a page that answered ends, and what may be taken from it; any source of pages asks here."""

from collections.abc import Collection, Sequence

from openalign.files.states import PageState
from openalign.ingest.watchdog import watched
from openalign.ingest.web.answers import Head
from openalign.ingest.web.config import WebConfig
from openalign.ingest.web.opt_outs import forbids_following, opt_out_in, opt_out_on_page
from openalign.ingest.webpage.cost.budget import PageTooComplexError
from openalign.ingest.webpage.page import PageContent, parse_page
from openalign.ingest.webpage.texts import TextKind

HTML = "text/html"
XHTML = "application/xhtml+xml"


def state_by_header(
    head: Head, url: str | None, *, is_html: bool, web: WebConfig
) -> PageState | None:
    """Return the state of an archived page that its header decides; None for one to be read.

    `url` is its canonical address, if it has one.
    """
    if not 200 <= head.status < 300:
        return PageState.HTTP_ERROR
    if url is None:
        return PageState.BAD_URL
    if not is_html:
        return PageState.NOT_HTML
    is_withheld = web.respect_opt_outs and opt_out_in(head.headers, as_of=web.opt_outs_day)
    return PageState.ROBOTS_DENIED if is_withheld else None


def judge_page(
    body: bytes,
    *,
    url: str,
    headers: Sequence[tuple[str, str]],
    content_type: str | None,
    charset: str | None,
    texts: Collection[TextKind],
    web: WebConfig,
    max_bytes: int,
    is_cut: bool = False,
    with_links: bool = True,
) -> tuple[PageState, PageContent | None]:
    """Return the state of a page, and its content where that may be taken.

    `url` is the canonical address that answered; `texts` are the kinds that make pairs. A body
    above `max_bytes` is read as far as that; `is_cut` says that it lacks its end in any case. Links
    that must not be followed are left out of the content's `links`; a source that follows none says
    so `with_links`.
    """
    is_cut = is_cut or len(body) > max_bytes
    try:
        with watched(url):
            page = parse_page(
                body[:max_bytes],
                page_url=url,
                charset=charset,
                content_language=content_language(headers),
                texts=texts,
                is_xml=content_type == XHTML,
                is_cut=is_cut,
                with_links=with_links,
            )
    except PageTooComplexError:
        return PageState.PAGE_TOO_COMPLEX, None
    return judge_content(page, headers=headers, web=web, is_cut=is_cut)


def judge_content(
    page: PageContent, *, headers: Sequence[tuple[str, str]], web: WebConfig, is_cut: bool
) -> tuple[PageState, PageContent | None]:
    """Return the state of a page that was read, and its content where that may be taken."""
    if not web.respect_opt_outs:
        page.links = sorted({*page.links, *page.nofollow_links})
    elif opt_out_on_page(page.directives, reserves_tdm=page.reserves_tdm, as_of=web.opt_outs_day):
        return PageState.ROBOTS_DENIED, None
    elif page.links and forbids_following(headers, page.directives):
        page.links = []
    return PageState.CUT if is_cut else PageState.PARSED, page


def content_language(headers: Sequence[tuple[str, str]]) -> str | None:
    """Return what the server says about the page's language; several lines are one list."""
    return ",".join(value for name, value in headers if name == "content-language") or None
