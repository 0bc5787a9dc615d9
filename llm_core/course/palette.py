"""One colour for each meaning, in pictures, widgets and pages alike.

Roles flow out as hex colours and as CSS custom properties; nothing here draws.

Each role has a colour for light pages and one for dark pages. Both are readable as
text on their page (contrast at least 4.5), and the roles that share pictures stay
apart for colour-blind readers. A picture is drawn in the light colours and in INK;
when the book is built, each of them is replaced by its custom property, so that an
inline SVG follows the theme of its page.
"""

from __future__ import annotations

import html
import re

# role: (on a light page, on a dark page)
COLORS: dict[str, tuple[str, str]] = {
    "query": ("#0b68b0", "#6db8f2"),
    "key": ("#a65a00", "#f0a840"),
    "value": ("#08775a", "#4cc9a2"),
    "loss": ("#b93c28", "#ff8f78"),
    "floor": ("#6a6a72", "#a6a6ae"),
    "highlight": ("#9c2f86", "#ee8fd6"),
    "sequence": ("#1f6feb", "#5fa2ff"),
}
# What a picture draws its axes, ticks and words in: the page's own text colour.
INK = "#123456"


def color(role: str) -> str:
    """Return the colour in which a picture draws a role.

    Raises ValueError for a role the book does not have.

    >>> color("query")
    '#0b68b0'
    """
    if role not in COLORS:
        raise ValueError(f"role must be one of {', '.join(COLORS)}, got {role!r}")
    return COLORS[role][0]


def css_variables() -> str:
    """Return the style sheet that defines --llm-query, --llm-key and the others.

    A dark page is one whose theme says so: the book's (data-theme) or JupyterLab's
    (data-jp-theme-light).

    >>> css_variables().splitlines()[0]
    ':root{--llm-query:#0b68b0;--llm-key:#a65a00;--llm-value:#08775a;...}'
    """
    light, dark = (
        "".join(f"--llm-{role}:{pair[i]};" for role, pair in COLORS.items())
        for i in (0, 1)
    )
    dark_pages = 'html[data-theme="dark"],body[data-jp-theme-light="false"]'
    return f":root{{{light}}}\n{dark_pages}{{{dark}}}\n"


def follow_theme(svg: str) -> str:
    """Replace a picture's fixed colours by those of the page it stands on.

    >>> follow_theme('<path style="stroke: #0b68b0"/><text fill="#123456"/>')
    '<path style="stroke: var(--llm-query)"/><text fill="currentColor"/>'
    """
    svg = svg.replace(INK, "currentColor")
    for role, (light, _) in COLORS.items():
        svg = svg.replace(light, f"var(--llm-{role})")
    return svg


def inline_svg(svg: str, alt: str, prefix: str) -> str:
    """Return a picture as a page holds it: sized, named, in the colours of its theme.

    Ids begin with the prefix, since two pictures of a page may not share any.

    >>> svg = '<svg width="72pt"><path id="a"/><use href="#a"/></svg>'
    >>> inline_svg(svg, "A bar", "fig-")
    '<svg role="img" aria-label="A bar" class="figure" width="96"><path id="fig-a"/>...'
    """
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'(href="|url\()#', rf"\1#{prefix}", svg)
    svg = re.sub(r' (width|height)="([\d.]+)pt"', _points_to_pixels, svg, count=2)
    label = f'role="img" aria-label="{html.escape(alt)}"'
    return follow_theme(svg).replace("<svg", f'<svg {label} class="figure"', 1)


def _points_to_pixels(match: re.Match[str]) -> str:
    return f' {match[1]}="{float(match[2]) * 4 / 3:.0f}"'
