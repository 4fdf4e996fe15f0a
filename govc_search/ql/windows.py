"""Binding of windows: what stands in OVER (...) and in the WINDOW clause."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from govc_search.errors import Span
from govc_search.ql import ast, bound, times
from govc_search.ql.arithmetic import NUMBERS, TIMES

if TYPE_CHECKING:
    from govc_search.ql.binder import Scope
    from govc_search.ql.expressions import ExpressionBinder

__all__ = ["WindowBinder"]

_FRAME_PLACES = (
    "UNBOUNDED PRECEDING", "PRECEDING", "CURRENT ROW", "FOLLOWING", "UNBOUNDED FOLLOWING",
)  # fmt: skip


class WindowBinder:
    """Binds windows for one `ExpressionBinder`."""

    def __init__(self, expressions: ExpressionBinder) -> None:
        self.x = expressions
        self.error = expressions.error

    def call(self, function: bound.Expr, call: ast.Call, scope: Scope) -> bound.WindowCall:
        """Returns a function over the window that its call names or describes."""
        assert call.over is not None
        return self.window(function, self._built(call.over, scope.windows), scope, call.span)

    def window(
        self, function: bound.Expr, window: ast.Window, scope: Scope, span: Span | None = None
    ) -> bound.WindowCall:
        """Returns a function over a window; what is wrong with both together is at `span`."""
        span = span or window.span
        frame = None
        order = self.order(window.order, scope)
        if window.frame:
            f = window.frame
            bounds = [
                (kind, self._offset(e, f.unit, order, scope) if e is not None else None)
                for kind, e in (f.start, f.end or ("CURRENT ROW", None))
            ]
            places = [_FRAME_PLACES.index(kind) for kind, _ in bounds]
            if places[0] == len(_FRAME_PLACES) - 1 or places[1] == 0 or places[0] > places[1]:
                raise self.error("invalid_argument", "the frame ends before it begins", span)
            end = bounds[1] if f.end else (None, None)
            frame = (f.unit, *bounds[0], *end)
        result = bound.WindowCall(
            function,
            tuple(self.x.bind(p, scope) for p in window.partition),
            order,
            frame,
            function.type,
        )
        if any(map(bound.has_window, bound.operands(result))):
            raise self.error("aggregate_place", "a window inside a window", span, "use a sub-query")
        return result

    def named(self, windows: tuple[tuple[str, ast.Window], ...]) -> dict[str, ast.Window]:
        """Returns the windows of a WINDOW clause, each of which may build on those before it."""
        known: dict[str, ast.Window] = {}
        for name, window in windows:
            if name.lower() in known:
                raise self.error("duplicate_alias", f'"{name}" names two windows', window.span)
            known[name.lower()] = self._built(window, known)
        return known

    def _built(self, window: ast.Window, known: dict[str, ast.Window]) -> ast.Window:
        """Returns a window with what it takes from the one that it names."""
        if window.name is None:
            return window
        base = known.get(window.name.lower())
        if base is None:
            near = difflib.get_close_matches(window.name.lower(), known, 1)
            raise self.error(
                "unknown_window", f'no window "{window.name}"', window.span,
                f'did you mean "{near[0]}"?' if near else "the WINDOW clause names them",
            )  # fmt: skip
        if window.whole:
            return base
        again = (
            "PARTITION BY" if window.partition
            else "ORDER BY" if window.order and base.order
            else ""
        )  # fmt: skip
        if again or base.frame:
            raise self.error(
                "invalid_argument",
                f'{again} stands in "{window.name}" already' if again
                else f'"{window.name}" has a frame and can only be used as it is',
                window.span,
                f"write OVER {window.name}",
            )  # fmt: skip
        return replace(base, order=window.order or base.order, frame=window.frame)

    def _offset(
        self, expr: ast.Expr, unit: str, order: tuple[bound.OrderKey, ...], scope: Scope
    ) -> bound.Expr:
        """Returns how far a frame reaches: a constant that goes with the unit and the order."""
        value = self.x.bind(expr, scope)
        kind = order[0].expr.type if unit == "RANGE" and len(order) == 1 else ""
        if kind in TIMES:
            text = value.args[0] if isinstance(value, bound.Apply) and value.args else None
            if (
                value.type == "INTERVAL"
                and isinstance(text, bound.Constant)
                and (found := times.interval(str(text.value))) is not None
                and min(found) >= 0
            ):
                return value
            wanted = "takes an interval from 0, such as INTERVAL '7 days', by a time"
        else:
            kinds = NUMBERS if kind in NUMBERS else {"INTEGER"}
            number = value.value if isinstance(value, bound.Constant) else None
            if (
                (kind or unit != "RANGE")
                and (kind in NUMBERS or unit != "RANGE")
                and value.type in kinds
                and isinstance(number, int | float)
                and 0 <= number < 1 << 62
            ):
                return value
            wanted = "takes a number from 0" + (" by one number or time" if unit == "RANGE" else "")
        raise self.error("invalid_argument", f"a frame of {unit} {wanted}", expr.span)

    def order(self, order: tuple[ast.OrderItem, ...], scope: Scope) -> tuple[bound.OrderKey, ...]:
        """Returns the keys of an order in a window or aggregate."""
        return tuple(
            bound.OrderKey(self.x.bind(o.expr, scope), o.descending, o.nulls_first) for o in order
        )
