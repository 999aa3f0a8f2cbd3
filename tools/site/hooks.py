"""What the pages link to outside of docs/ becomes a part of the site: other pages, and files as they are."""

import os
import posixpath
import re
from urllib.parse import urlsplit

from mkdocs.structure.files import File

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Where files from outside of docs/ stand in the site.
ELSEWHERE = "repository"

LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
CELL = re.compile(r"<t[dh][^>]*>.*?</t[dh]>", re.DOTALL)
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.DOTALL | re.MULTILINE)


def path_of(uri):
    """The path in the repository of a page of the site."""
    name = uri.removeprefix(ELSEWHERE + "/")
    return name if name != uri else "docs/" + uri


def uri_of(path):
    """The page of the site for a path in the repository. A folder stands for its README or its list of files."""
    if os.path.isdir(os.path.join(ROOT, path)):
        path = posixpath.join(path, "README.md")
    name = path.removeprefix("docs/")
    return name if name != path else f"{ELSEWHERE}/{path}"


def linked(path, text):
    """The paths in the repository that a page links to, with the span of each in its text."""
    fences = [match.span() for match in FENCE.finditer(text)]
    for match in LINK.finditer(text):
        target = match.group(2)
        if urlsplit(target).scheme or any(start <= match.start() < end for start, end in fences):
            continue
        yield match.span(2), posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def text_of(path):
    """A page, or the list of a folder's files."""
    file = os.path.join(ROOT, path)
    folder = os.path.dirname(file)
    if os.path.exists(file) or not os.path.isdir(folder):
        with open(file, encoding="utf-8") as page:
            return page.read()
    names = sorted(name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name)))
    return "\n".join([f"# {posixpath.dirname(path)}", "", *(f"- [{name}]({name})" for name in names), ""])


def on_files(files, config):
    """Adds what is linked to, and what that links to."""
    waiting = [path_of(file.src_uri) for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for _, target in linked(page, text_of(page)):
            uri = uri_of(target)
            path = path_of(uri)
            if files.get_file_from_path(uri) or not os.path.exists(os.path.join(ROOT, target)):
                continue
            if uri.endswith(".md"):
                files.append(File.generated(config, uri, content=text_of(path)))
                waiting.append(path)
            else:
                files.append(File.generated(config, uri, abs_src_path=os.path.join(ROOT, path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Points the links of a page to where their targets stand in the site."""
    uri = page.file.src_uri
    for (start, end), target in reversed(list(linked(path_of(uri), markdown))):
        link = posixpath.relpath(uri_of(target), posixpath.dirname(uri) or ".")
        markdown = markdown[:start] + link + markdown[end:]
    return markdown


def on_page_content(html, **_):
    """Shows `a|b` in a table as it is meant: Python-Markdown keeps the backslash that Markdown needs there."""
    return CELL.sub(lambda cell: cell.group().replace("\\|", "|"), html)
