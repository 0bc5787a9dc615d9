"""The source of a module in, copies that are wrong in one place out: its mutants.

If no test notices that a line is wrong, no test says what the line is for. A fault is
small: a comparison, an operator, a number, a condition, a statement that is missing.
Left as they are: docstrings and other strings, with what f-strings put into them;
annotations; imports.
"""

import ast
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass

# What stands for what. Where there are two, each makes a mutant of its own.
OPERATORS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
    ast.LShift: (ast.RShift,),
    ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A module that is wrong in one place."""

    where: str  # the function or class, with those around it; "" at the top
    before: str  # what stood there, and what stands there now: one line each
    after: str
    line: int
    source: bytes

    @property
    def name(self) -> str:
        """What stays the same when other lines of the module change."""
        return f"{self.where}: {self.before} → {self.after}"


def mutants(source: bytes) -> list[Mutant]:
    """Make every mutant of a module, in the order of its lines.

    >>> [mutant.after for mutant in mutants(b"if (x < 2):\\n    stop()")]
    ['if (x <= 2):', 'if (x > 2):', 'if (x < 3):', 'if (x < 1):', 'pass']
    """
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    made = []
    for where, old, new in _changes(ast.parse(source), ""):
        first, last = old.lineno - 1, (old.end_lineno or old.lineno) - 1
        start = starts[first] + old.col_offset
        end = starts[last] + (old.end_col_offset or 0)
        enclosed = source[start - 1 : start] + source[end : end + 1] == b"()"
        changed = source[:start] + _written(new, enclosed) + source[end:]
        before = source[starts[first] : starts[last + 1]]
        after = changed[starts[first] : starts[last + 1] + len(changed) - len(source)]
        made.append(Mutant(where, _line(before), _line(after), first + 1, changed))
    return sorted(made, key=lambda mutant: mutant.line)


def _written(new: ast.AST, enclosed: bool) -> bytes:
    loose = (ast.BinOp, ast.BoolOp, ast.Compare, ast.UnaryOp, ast.IfExp)
    text = ast.unparse(new)
    return (f"({text})" if isinstance(new, loose) and not enclosed else text).encode()


def _line(lines: bytes) -> str:
    return " ".join(lines.decode().split())


Code = ast.expr | ast.stmt
Change = tuple[Code, ast.AST]  # what stands there, and what may stand there instead


def _changes(node: ast.AST, where: str) -> Iterator[tuple[str, Code, ast.AST]]:
    """Go through a piece of code, and say where what may become what."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        where = f"{where}.{node.name}".lstrip(".")
    yield from ((where, old, new) for old, new in [*_in_values(node), *_in_flow(node)])
    for name, field in ast.iter_fields(node):
        for part in field if isinstance(field, list) else [field]:
            if name in ("annotation", "returns") or isinstance(part, ast.JoinedStr):
                continue
            if isinstance(part, ast.AST):
                yield from _changes(part, where)


def _in_values(node: ast.AST) -> Iterator[Change]:
    """What may stand for an expression."""
    match node:
        case ast.Compare(ops=[*operators]):
            for k, operator in enumerate(operators):
                for other in _others(operator):
                    ops = [*operators[:k], other, *operators[k + 1 :]]
                    yield node, _with(node, ops=ops)
        case ast.BinOp() | ast.BoolOp() | ast.AugAssign():
            yield from ((node, _with(node, op=other)) for other in _others(node.op))
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node, node.operand
        case ast.Constant(value=value):
            yield from ((node, ast.Constant(other)) for other in _numbers(value))
        case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
            yield node, _with(node, func=ast.Name(FUNCTIONS[name]))
        case ast.Slice():
            yield from ((node, other) for other in _slices(node))


def _in_flow(node: ast.AST) -> Iterator[Change]:
    """Conditions turned round, and statements left out."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
            yield from _turned(test)
        case ast.comprehension(ifs=tests):
            yield from (change for test in tests for change in _turned(test))
        case ast.Return(value=ast.expr()):
            yield node, ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Constant(value=str())):  # a docstring
            pass
        case ast.Expr() | ast.AugAssign() | ast.Return() | ast.Raise():
            yield node, ast.Pass()
        case ast.Assert() | ast.Delete() | ast.Continue() | ast.Break():
            yield node, ast.Pass()
        case ast.Assign(targets=[target], value=value):
            # Without what makes a name there would only be a name that is not known.
            names = (part.id for part in ast.walk(value) if isinstance(part, ast.Name))
            again = isinstance(target, ast.Name) and target.id in names
            if again or isinstance(target, ast.Attribute | ast.Subscript):
                yield node, ast.Pass()


def _turned(test: ast.expr) -> Iterator[Change]:
    if not isinstance(
        test, ast.Compare | ast.UnaryOp
    ):  # these turn round by themselves
        yield test, ast.UnaryOp(ast.Not(), test)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    new = copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _others(operator: ast.AST) -> list[ast.AST]:
    return [kind() for kind in OPERATORS.get(type(operator), ())]


def _numbers(value: object) -> list[object]:
    """What may stand for a number: its neighbours, or twice and half of a fraction."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [2 * value, value / 2] if value else [1.0]
    return []


def _slices(part: ast.Slice) -> Iterator[ast.AST]:
    """One element less at either end; a bound that is a number changes as a number."""
    one = ast.Constant(1)
    if part.lower is None:
        yield _with(part, lower=one)
    elif not isinstance(part.lower, ast.Constant):
        yield _with(part, lower=ast.BinOp(part.lower, ast.Add(), one))
    if part.upper is None:
        yield _with(part, upper=ast.Constant(-1))
    elif not isinstance(part.upper, ast.Constant):
        yield _with(part, upper=ast.BinOp(part.upper, ast.Sub(), one))
