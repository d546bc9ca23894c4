"""Turn a template into the shape of the pages that it can produce under any site's settings.

The release's templates are read as syntax trees. A condition on the site's settings becomes two
alternatives, a loop over settings becomes a repetition, and the values of settings become slots.
All other bytes of a page are fixed. A page of an unaltered site therefore always has this shape; an
altered page has this shape only if the alteration is a text without markup in a slot, or a
combination of texts that the release itself contains in that place.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, nodes

from dropbox_app.desk.site_check import values
from dropbox_app.desk.site_check.values import Choice, Known, Rendered, Shape, Text, Unknown

Scope = dict[str, Any]
_UNCHANGED = frozenset({"map", "unique", "list", "selectattr", "length", "trim"})


class UnknownSyntaxError(Exception):
    """A template of this release contains syntax that this reader does not understand.

    No site can cause this error, because a site's pages are never read as templates. The error is a
    fault of the release, and the tests that check unaltered sites find it.
    """


class Reader:
    """Reads templates with the given values; ``special`` has the templates' functions."""

    def __init__(
        self,
        templates: Mapping[str, str],
        given: Mapping[str, object],
        special: Mapping[str, Callable[..., object]],
    ) -> None:
        self._environment = Environment(  # noqa: S701 - nothing is rendered, only parsed
            trim_blocks=True, lstrip_blocks=True
        )
        self._templates = templates
        self._trees: dict[str, nodes.Template] = {}
        self._given = given
        self._special = special
        self._blocks: dict[str, nodes.Block] = {}

    def read(self, name: str) -> Shape:
        """Return the shape of the pages of a template."""
        scope: Scope = dict(self._given)
        tree = self._tree(name)
        extends = next((one for one in tree.body if isinstance(one, nodes.Extends)), None)
        if extends is None:
            return self._all(tree.body, scope)
        self._blocks = {one.name: one for one in tree.body if isinstance(one, nodes.Block)}
        for statement in tree.body:
            if not isinstance(statement, nodes.Block | nodes.Extends | nodes.Output):
                self._statement(statement, scope)
        parent = self._expression(extends.template, scope)
        return self._all(self._tree(str(parent)).body, scope)

    def _tree(self, name: str) -> nodes.Template:
        if name not in self._trees:
            self._trees[name] = self._environment.parse(self._templates[name])
        return self._trees[name]

    # Statements

    def _all(self, statements: Sequence[nodes.Node], scope: Scope) -> Shape:
        return values.joined([self._statement(one, scope) for one in statements])

    def _statement(self, statement: nodes.Node, scope: Scope) -> Shape:
        match statement:
            case nodes.Output():
                return values.joined([self._written(one, scope) for one in statement.nodes])
            case nodes.If():
                return self._if(statement, scope)
            case nodes.For():
                return self._for(statement, scope)
            case nodes.Assign():
                self._assign(statement.target, self._expression(statement.node, scope), scope)
            case nodes.With():
                inner = dict(scope)
                for target, value in zip(statement.targets, statement.values, strict=True):
                    self._assign(target, self._expression(value, scope), inner)
                return self._all(statement.body, inner)
            case nodes.Include():
                name = str(self._expression(statement.template, scope))
                return self._all(self._tree(name).body, dict(scope))
            case nodes.FromImport():
                self._import(statement, scope)
            case nodes.Macro():
                scope[statement.name] = self._macro(statement, scope)
            case nodes.Block():
                block = self._blocks.get(statement.name, statement)
                return self._all(block.body, dict(scope))
            case _:
                raise UnknownSyntaxError(type(statement).__name__)
        return values.nothing()

    def _written(self, node: nodes.Node, scope: Scope) -> Shape:
        if isinstance(node, nodes.TemplateData):
            return Shape("text", node.data)
        return values.shape_of(self._expression(node, scope))

    def _if(self, statement: nodes.If, scope: Scope) -> Shape:
        branches = [(statement.test, statement.body)]
        branches += [(one.test, one.body) for one in statement.elif_]
        possible: list[tuple[Sequence[nodes.Node], Scope]] = []
        for test, body in branches:
            known = values.truth(self._expression(test, scope))
            if known is not False:
                possible.append((body, dict(scope)))
            if known is True:
                break
        else:
            possible.append((statement.else_, dict(scope)))
        shapes = [self._all(body, inner) for body, inner in possible]
        for name in {name for _, inner in possible for name in inner}:
            # A variable that only one branch sets is used only where the same condition holds.
            found = [inner[name] for _, inner in possible if name in inner]
            scope[name] = found[0] if len(found) == 1 else values.choice(found)
        return values.either(shapes)

    def _for(self, statement: nodes.For, scope: Scope) -> Shape:
        over = self._expression(statement.iter, scope)
        if isinstance(over, Known):
            over = over.attributes["each"]
            if not isinstance(over, list):
                raise TypeError("each")
            shapes = [self._turn(statement, one, scope, None) for one in over]
            return Shape("many", "", (values.either(shapes),))
        if isinstance(over, list | tuple | str):
            ends = range(len(over))
            parts = [self._turn(statement, over[n], scope, (n, ends[-1])) for n in ends]
            return values.joined(parts) if parts else self._all(statement.else_, dict(scope))
        each = Unknown(f"{values.name_of(over)}[]")
        body = self._turn(statement, each, scope, None)
        return values.either(
            [Shape("many", "", (body,)), self._all(statement.else_, dict(scope))]
            if statement.else_
            else [Shape("many", "", (body,))]
        )

    def _turn(
        self, statement: nodes.For, value: object, scope: Scope, at: tuple[int, int] | None
    ) -> Shape:
        inner = dict(scope)
        self._assign(statement.target, value, inner)
        inner["loop"] = Unknown("loop")
        if at is not None:
            number, last = at
            inner["loop"] = Known({"first": number == 0, "last": number == last})
        body = self._all(statement.body, inner)
        if statement.test is None:
            return body
        wanted = values.truth(self._expression(statement.test, inner))
        if wanted is None:
            return values.either([body, values.nothing()])
        return body if wanted else values.nothing()

    def _assign(self, target: nodes.Node, value: object, scope: Scope) -> None:
        if isinstance(target, nodes.Name):
            scope[target.name] = value
            return
        if not isinstance(target, nodes.Tuple):
            raise UnknownSyntaxError(type(target).__name__)
        for number, item in enumerate(target.items):
            each = Unknown(f"{values.name_of(value)}[{number}]")
            known = isinstance(value, list | tuple) and number < len(value)
            self._assign(item, value[number] if known else each, scope)  # type: ignore[index] # a list or a tuple, as just checked

    def _import(self, statement: nodes.FromImport, scope: Scope) -> None:
        inner: Scope = dict(scope)
        for one in self._tree(str(self._expression(statement.template, scope))).body:
            if not isinstance(one, nodes.Output):
                self._statement(one, inner)
        for name in statement.names:
            given, new = name if isinstance(name, tuple) else (name, name)
            scope[new] = inner[given]

    def _macro(self, macro: nodes.Macro, outer: Scope) -> Callable[..., object]:
        names = [argument.name for argument in macro.args]

        def call(*given: object, **named: object) -> object:
            inner = dict(outer)
            usual = dict(
                zip(names[len(names) - len(macro.defaults) :], macro.defaults, strict=True)
            )
            for name in names:
                inner[name] = ""
            for name, value in usual.items():
                inner[name] = self._expression(value, inner)
            inner |= dict(zip(names, given, strict=False)) | named
            return Rendered(self._all(macro.body, inner))

        return call

    # Expressions

    def _expression(self, node: nodes.Node, scope: Scope) -> Any:  # noqa: ANN401 - any value of a template
        match node:
            case nodes.Const():
                return node.value
            case nodes.TemplateData():
                return Text((node.data,), safe=True)
            case nodes.Name():
                return scope.get(node.name, Unknown(node.name))
            case nodes.List() | nodes.Tuple():
                return [self._expression(item, scope) for item in node.items]
            case nodes.Concat():
                return values.added([self._expression(one, scope) for one in node.nodes])
            case nodes.CondExpr():
                return self._conditional(node, scope)
            case nodes.And():
                left = self._expression(node.left, scope)
                known = values.truth(left)
                right = self._expression(node.right, scope)
                return right if known else left if known is False else _both(right)
            case nodes.Or():
                left = self._expression(node.left, scope)
                known = values.truth(left)
                if known:
                    return left
                right = self._expression(node.right, scope)
                return right if known is False else values.choice([left, right])
            case nodes.Not():
                known = values.truth(self._expression(node.node, scope))
                return Unknown("not") if known is None else not known
            case nodes.Compare():
                return self._compared(node, scope)
            case nodes.Test():
                return self._tested(node, scope)
            case nodes.Filter():
                return self._filtered(node, scope)
            case nodes.Getattr():
                return _attribute(self._expression(node.node, scope), node.attr)
            case nodes.Getitem():
                return self._item(node, scope)
            case nodes.Call():
                return self._called(node, scope)
        raise UnknownSyntaxError(type(node).__name__)

    def _conditional(self, node: nodes.CondExpr, scope: Scope) -> object:
        known = values.truth(self._expression(node.test, scope))
        found = []
        if known is not False:
            found.append(self._expression(node.expr1, scope))
        if known is not True:
            found.append(self._expression(node.expr2, scope) if node.expr2 else "")
        return values.choice(found)

    def _compared(self, node: nodes.Compare, scope: Scope) -> object:
        (operand,) = node.ops
        left, right = self._expression(node.expr, scope), self._expression(operand.expr, scope)
        unknown = (Unknown, Choice, Text, Rendered, Known)
        if isinstance(left, unknown) or isinstance(right, unknown):
            return Unknown("compared")
        if isinstance(right, list) and any(isinstance(one, unknown) for one in right):
            return Unknown("compared")
        compare: Mapping[str, Callable[[Any, Any], bool]] = {
            "eq": lambda a, b: bool(a == b), "ne": lambda a, b: bool(a != b),
            "gt": lambda a, b: bool(a > b), "lteq": lambda a, b: bool(a <= b),
            "in": lambda a, b: a in b, "notin": lambda a, b: a not in b,
        }  # fmt: skip
        return compare[operand.op](left, right)

    def _tested(self, node: nodes.Test, scope: Scope) -> object:
        if node.name == "defined" and isinstance(node.node, nodes.Name):
            return node.node.name in scope
        value = self._expression(node.node, scope)
        if node.name == "none":
            return Unknown("none") if isinstance(value, Unknown) else value is None
        raise UnknownSyntaxError(node.name)

    def _filtered(self, node: nodes.Filter, scope: Scope) -> object:
        if node.node is None:
            raise UnknownSyntaxError(node.name)
        value = self._expression(node.node, scope)
        if node.name == "safe":
            return values.of_each(value, lambda one: Text(values.as_text(one).parts, safe=True))
        if node.name == "first_upper":
            return values.first_upper(value)
        if node.name not in _UNCHANGED:
            raise UnknownSyntaxError(node.name)
        if isinstance(value, str):
            return value.strip() if node.name == "trim" else len(value)
        if isinstance(value, list | tuple) and node.name == "length":
            return len(value)
        return Unknown(f"{values.name_of(value)}|{node.name}")

    def _item(self, node: nodes.Getitem, scope: Scope) -> object:
        value = self._expression(node.node, scope)
        if isinstance(node.arg, nodes.Slice):
            if not isinstance(value, str | list | tuple):
                return Unknown(f"{values.name_of(value)}[]")
            ends = [
                self._expression(end, scope) if end is not None else None
                for end in (node.arg.start, node.arg.stop)
            ]
            return value[ends[0] : ends[1]]
        at = self._expression(node.arg, scope)
        if isinstance(value, list | tuple) and isinstance(at, int):
            return value[at] if at < len(value) else ""
        if isinstance(value, Mapping) and isinstance(at, str):
            return value[at]
        return Unknown(f"{values.name_of(value)}[]")

    def _called(self, node: nodes.Call, scope: Scope) -> object:
        given = [self._expression(one, scope) for one in node.args]
        named = {one.key: self._expression(one.value, scope) for one in node.kwargs}
        if isinstance(node.node, nodes.Getattr):
            value = self._expression(node.node.node, scope)
            return _method(value, node.node.attr, given)
        if not isinstance(node.node, nodes.Name):
            raise UnknownSyntaxError(type(node.node).__name__)
        name = node.node.name
        call = scope.get(name) or self._special.get(name)
        return call(*given, **named) if callable(call) else Unknown(f"{name}()")


def _both(right: object) -> object:
    """Return the result of ``unknown and right``: false, or the right side."""
    return values.choice(["", right])


def _attribute(value: object, name: str) -> object:
    if isinstance(value, Known):
        return value.attributes[name]
    if isinstance(value, Mapping):
        return value[name]
    return values.of_each(value, lambda one: Unknown(f"{values.name_of(one)}.{name}"))


def _method(value: object, name: str, given: Sequence[Any]) -> object:
    if isinstance(value, Known) and name in value.methods:
        return value.methods[name](*given)
    if isinstance(value, Mapping) and name == "get":
        return value.get(given[0], "")
    if isinstance(value, Mapping) and name == "items":
        return list(map(list, value.items()))
    if name == "split":
        return values.split(value, *given)
    if name == "replace":
        return values.replaced(value, *given)
    return Unknown(f"{values.name_of(value)}.{name}()")
