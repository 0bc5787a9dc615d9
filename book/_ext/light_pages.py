"""Makes the theme's pages light: one small style sheet, small fonts, deferred scripts.

The theme sends 1.2 MB a page, most of it styles and icons that no page uses. Here each
page links `_static/book.css` only (see layout.html). At the end of a build that file is
written from all the style sheets a page would have had, without the rules that match
nothing in the book. The icon and math fonts are cut to what the book shows, and put
into the style sheets (math.css for the pages with formulas), so that no text moves when
they arrive. Two of three words of code have the colour of the text around them, and
lose the element that says so; and code says how many lines it has, so that a browser
can keep its place without laying it out before it is in sight.

A class that a script assembles from pieces cannot be seen and would lose its rules: a
script names its classes whole.
"""

import base64
import html
import io
import logging
import re
from pathlib import Path

import tinycss2
from fontTools import subset
from fontTools.ttLib import TTFont

THEME_STYLES = ("styles/theme.css", "styles/pydata-sphinx-theme.css")
ICON_FONT = "vendor/fontawesome/webfonts/fa-solid-900.woff2"
MATH_FONT = "fonts/stix-two-math.woff2"
logging.getLogger("fontTools").setLevel(logging.WARNING)  # it narrates each table
FONT_FACE = """
@font-face {{
  font-family: "{family}";
  font-weight: {weight};
  font-display: block;
  src: url(data:font/woff2;base64,{data}) format("woff2");
}}
"""
WEIGHTS = "globalThis.llmShared["  # how a script begins that holds a model's numbers
NESTED_RULES = ("media", "supports", "layer", "container")


def setup(app):
    app.connect("html-page-context", defer_scripts, priority=900)
    app.connect("build-finished", write_light_files, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def defer_scripts(app, pagename, templatename, context, doctree):
    """Let the page show before its scripts run; the search page needs their order."""
    context["has_math"] = "<math" in context.get("body", "")
    if pagename == "search":
        return
    files = context.get("script_files", [])
    for i, script in enumerate(files):
        attributes = dict(script.attributes)  # shared between pages: copy, then change
        if script.filename and "type" not in attributes:
            attributes["defer"] = "defer"
        elif (attributes.get("body") or "").startswith("DOCUMENTATION_OPTIONS"):
            attributes["type"] = "module"  # so that it waits for its deferred file
        files[i] = type(script)(script.filename, priority=script.priority, **attributes)


def write_light_files(app, error):
    if error or app.builder.name not in ("html", "dirhtml"):
        return
    out = Path(app.outdir)
    static = out / "_static"
    pages = [
        lighten(path, plain_classes(static)) for path in sorted(out.rglob("*.html"))
    ]
    words = words_of(static, pages)
    sheets = [source(static, name) for name in style_sheets(app, static)]
    css = "".join(purge(sheet, words) for sheet in sheets)
    css = re.sub(r"@font-face\{[^}]*Font ?Awesome[^}]*\}", "", css)
    icons = subset_font(static / ICON_FONT, icons_in(css))
    math = subset_font(static / MATH_FONT, math_in(pages))
    css += FONT_FACE.format(family="Font Awesome 6 Free", weight=900, data=icons)
    (static / "book.css").write_text(css, encoding="utf-8")
    css = FONT_FACE.format(family="Book Math", weight=400, data=math)
    (static / "math.css").write_text(css, encoding="utf-8")
    for unused in unused_files(static):
        unused.unlink(missing_ok=True)


def lighten(path, plain):
    """Make the code of a page cheap to show, and return the page."""
    text = path.read_text(encoding="utf-8")
    needless = rf'<span class="(?:{"|".join(plain)})">([^<]*)</span>'
    light = re.sub(needless, r"\1", text)
    light = re.sub(r"<pre>(.*?)</pre>", with_lines, light, flags=re.S)
    if light != text:
        path.write_text(light, encoding="utf-8")
    return light


def with_lines(match):
    lines = re.sub("<[^>]*>", "", match[1]).rstrip("\n").split("\n")
    columns = ' class="columns"' if has_columns(map(html.unescape, lines)) else ""
    return f'<pre{columns} style="--lines: {len(lines)}">{match[1]}</pre>'


def has_columns(lines):
    """Tell whether what was printed stands in columns, which a break would mix up.

    >>> has_columns(["bits    8.000", "zlib    2.205"])
    True
    >>> has_columns(["Once upon a time there lived", "  a sleepy tailor."])
    False
    """
    lines = list(lines)
    spaced = [line for line in lines if re.search(r"\S {2,}\S", line)]
    return len(spaced) > len(lines) / 3 and max(map(len, lines)) < 100


def plain_classes(static):
    """Return the classes of code that look, light and dark, as if they had none."""
    css = (static / "pygments.css").read_text(encoding="utf-8")
    of_text = re.findall(r"(html\S+) \.highlight \{[^}]*[ ;]color: (\S+) \}", css)
    plain = []
    for theme, colour in of_text:
        rules = re.findall(rf"{re.escape(theme)} \.highlight \.(\w+) {{(.*)}}", css)
        plain.append({name for name, rule in rules if rule == f" color: {colour} "})
    return sorted(set.intersection(*plain))


def style_sheets(app, static):
    """Return the style sheets of a page, in their order, as paths under _static."""
    files = sorted(app.builder._css_files, key=lambda file: file.priority)
    names = [str(file.filename).removeprefix("_static/") for file in files]
    return [*THEME_STYLES, *(n for n in names if (static / n).exists())]


def source(static, name):
    """Return a style sheet with the ones that it imports in their places."""
    text = (static / name).read_text(encoding="utf-8")
    folder = (static / name).parent

    def imported(match):
        return (folder / match[1]).read_text(encoding="utf-8")

    return re.sub(r'@import\s+"([^"]+)";', imported, text)


def words_of(static, pages):
    """Return the classes and ids of the pages, and every word in a script's strings."""
    named = re.findall(r'\b(?:class|id)="([^"]*)"', " ".join(pages))
    scripts = (
        path.read_text(encoding="utf-8")
        for path in static.rglob("*.js")
        if "vendor" not in path.parts
    )
    code = " ".join(text for text in scripts if not text.startswith(WEIGHTS))
    strings = re.findall(r'"[^"\n]*"|\'[^\'\n]*\'|`[^`]*`', code)
    return {w for text in [*named, *strings] for w in re.findall(r"[\w-]+", text)}


def purge(css, words):
    """Return a style sheet, or a list of its rules, without those for absent names."""
    parse = (
        tinycss2.parse_stylesheet if isinstance(css, str) else tinycss2.parse_rule_list
    )
    kept = []
    for rule in parse(css, skip_comments=True, skip_whitespace=True):
        if rule.type == "qualified-rule":
            if selectors := used_selectors(rule.prelude, words):
                kept.append(f"{selectors}{{{tinycss2.serialize(rule.content)}}}")
        elif rule.type == "at-rule" and rule.lower_at_keyword in NESTED_RULES:
            if inner := purge(rule.content or [], words):
                condition = tinycss2.serialize(rule.prelude)
                kept.append(f"@{rule.at_keyword}{condition}{{{inner}}}")
        elif rule.type == "at-rule":
            kept.append(rule.serialize())
    return "".join(kept)


def used_selectors(prelude, words):
    """Return the selectors whose classes and ids all occur."""
    selectors = re.split(r",(?![^(]*\))", tinycss2.serialize(prelude))
    return ",".join(s.strip() for s in selectors if names_in(s) <= words)


def names_in(selector):
    positive = re.sub(r":not\([^)]*\)|\[[^\]]*\]", "", selector)
    return set(re.findall(r"[.#]((?:[A-Za-z_-]|\\.)(?:[\w-]|\\.)*)", positive))


def icons_in(css):
    """Return the code points of the icons that the style sheet still names."""
    escaped = {int(code, 16) for code in re.findall(r"\\([ef][0-9a-f]{3})", css)}
    return escaped | {ord(c) for c in re.findall("[\ue000-\uf8ff]", css)}


# What a browser shows for a letter in <mi>: its italic, which lies elsewhere.
ITALICS = (
    (range(0x61, 0x7B), 0x1D44E),
    (range(0x41, 0x5B), 0x1D434),
    (range(0x3B1, 0x3CA), 0x1D6FC),
    (range(0x391, 0x3AA), 0x1D6E2),
)
PLANCK = 0x210E  # the italic h, which is older than its neighbours
DRAWN_UNASKED = {0x221A, 0x2F, 0x20D7, 0x302, 0x303, 0x304}  # roots, accents


def math_in(pages):
    """Return the code points that the pages' formulas need."""
    formulas = re.findall(r"<math.*?</math>", " ".join(pages), re.S)
    text = html.unescape(re.sub(r"<[^>]*>", "", "".join(formulas)))
    points = {ord(character) for character in text} | DRAWN_UNASKED
    italics = {
        first + point - letters[0]
        for point in points
        for letters, first in ITALICS
        if point in letters
    }
    return points | italics | {PLANCK}


def subset_font(path, points):
    """Return the part of a font that shows these code points, as base64 of WOFF2."""
    font = TTFont(path)
    options = subset.Options(layout_features=["ssty", "dtls", "flac"], hinting=False)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=points)
    subsetter.subset(font)
    font.flavor = "woff2"
    buffer = io.BytesIO()
    font.save(buffer)
    return base64.b64encode(buffer.getvalue()).decode()


def unused_files(static):
    """Return what no page asks for, and no later build reads."""
    fonts = set((static / ICON_FONT).parent.iterdir()) - {static / ICON_FONT}
    return [*static.rglob("*.map"), *static.glob("scripts/fontawesome.js*"), *fonts]
