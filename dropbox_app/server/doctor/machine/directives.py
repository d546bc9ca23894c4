"""The settings of Caddy and nginx as trees of lines: enough to see what a line stands under."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

DEEP = 10  # files that include others


@dataclass
class Directive:
    """A line: its words, and the lines in the block that it opens."""

    words: tuple[str, ...]
    inside: list["Directive"] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.words[0] if self.words else ""

    def __str__(self) -> str:
        return " ".join(self.words)

    def all(self) -> Iterator["Directive"]:
        """Every line below it, at any depth."""
        for one in self.inside:
            yield one
            yield from one.all()


_NGINX = re.compile(r"""#[^\n]*|[{};]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^\s{};"']+""")
_CADDY = re.compile(r"""(?:(?<=\s)|^)#[^\n]*|\n|"(?:\\.|[^"\\])*"|`[^`]*`|[^\s"`]+""", re.MULTILINE)


def nginx(text: str, included: Callable[[str], list[str]], depth: int = 0) -> Directive:
    """A tree of nginx's settings. ``included`` gives the texts that an include names."""
    top = Directive(())
    stack, words = [top], list[str]()
    for word in _NGINX.findall(text):
        if word.startswith("#"):
            continue
        if word == "}":
            stack = stack[:-1] or [top]
        elif word in ("{", ";"):
            made = Directive(tuple(words))
            words = []
            if made.name == "include":
                for more in included(made.words[1]) if made.words[1:] and depth < DEEP else ():
                    stack[-1].inside += nginx(more, included, depth + 1).inside
                continue
            stack[-1].inside.append(made)
            if word == "{":
                stack.append(made)
        else:
            words.append(word.strip("\"'"))
    return top


def caddy(text: str) -> Directive:
    """A tree of a Caddyfile. A block without words in front is its global one."""
    top = Directive(())
    stack, words = [top], list[str]()
    for word in [*_CADDY.findall(text), "\n"]:
        if word.startswith("#"):
            continue
        if word == "\n":
            if words[-1:] == ["{"]:
                made = Directive(tuple(words[:-1]))
                stack[-1].inside.append(made)
                stack.append(made)
            elif words == ["}"]:
                stack = stack[:-1] or [top]
            elif words:
                stack[-1].inside.append(Directive(tuple(words)))
            words = []
        else:
            words.append(word.strip('"`'))
    return top
