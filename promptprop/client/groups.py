"""The groups of calls that both clients offer: each name says once which call it sends."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from promptprop.client.call import Call, Listing

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Sender(Protocol):
    """What sends calls and waits for the answers."""

    def send(self, call: Call[T]) -> T:
        """The answer, read."""
        ...

    def pages(self, listing: Listing[T]) -> Iterator[T]:
        """The items of all pages."""
        ...


class AsyncSender(Protocol):
    """What sends calls, and whose answers are awaited."""

    async def send(self, call: Call[T]) -> T:
        """The answer, read."""
        ...

    def pages(self, listing: Listing[T]) -> AsyncIterator[T]:
        """The items of all pages."""
        ...


class Group:
    """Calls about one kind of thing."""

    def __init__(self, client: Sender) -> None:
        """`client` sends them."""
        self.client = client


class AsyncGroup:
    """Calls about one kind of thing, to be awaited."""

    def __init__(self, client: AsyncSender) -> None:
        """`client` sends them."""
        self.client = client


class _Described(Generic[P, R]):
    """A method that sends what `describe` makes of its arguments."""

    def __init__(self, describe: Callable[P, R]) -> None:
        """Keep it."""
        self._describe = describe
        self.__doc__ = describe.__doc__


class sends(_Described[P, Call[T]]):  # noqa: N801 - reads as a word in a class
    """A method that sends a call."""

    def __get__(self, group: Group, owner: Any = None) -> Callable[P, T]:
        """The method of a group."""

        def send(*args: P.args, **kwargs: P.kwargs) -> T:
            return group.client.send(self._describe(*args, **kwargs))

        return _named(send, self._describe)


class lists(_Described[P, Listing[T]]):  # noqa: N801
    """A method that iterates over a list, page by page."""

    def __get__(self, group: Group, owner: Any = None) -> Callable[P, Iterator[T]]:
        """The method of a group."""

        def items(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
            return group.client.pages(self._describe(*args, **kwargs))

        return _named(items, self._describe)


class awaits(_Described[P, Call[T]]):  # noqa: N801
    """`sends`, to be awaited."""

    def __get__(self, group: AsyncGroup, owner: Any = None) -> Callable[P, Coroutine[Any, Any, T]]:
        """The method of a group."""

        def send(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            return group.client.send(self._describe(*args, **kwargs))

        return _named(send, self._describe)


class alists(_Described[P, Listing[T]]):  # noqa: N801
    """`lists`, for `async for`."""

    def __get__(self, group: AsyncGroup, owner: Any = None) -> Callable[P, AsyncIterator[T]]:
        """The method of a group."""

        def items(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
            return group.client.pages(self._describe(*args, **kwargs))

        return _named(items, self._describe)


def _named(method: Callable[P, T], describe: Callable[P, Any]) -> Callable[P, T]:
    """The method with the name, the docstring and the parameters of what describes it."""
    return functools.update_wrapper(method, describe, ("__name__", "__qualname__", "__doc__"), ())
