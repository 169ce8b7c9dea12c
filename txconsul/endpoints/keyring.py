"""
Internal.KeyringOperation: the gossip keys of all pools.

The server that is asked has its own pools do it, that of its datacenter and that of all datacenters' servers, and asks
a server of each other datacenter to do the same with its own one.

Source: Consul's documentation of the keyring HTTP API; the wire documents, Internal.KeyringOperation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, FirstError, gatherResults, maybeDeferred, succeed
from twisted.python.failure import Failure

from txconsul.codec.gobase64 import BadBase64, decode_base64
from txconsul.endpoints.authorizing import Authorizer
from txconsul.endpoints.pools import Pool
from txconsul.endpoints.registry import Answer, server
from txconsul.endpoints.site import Site
from txconsul.errors import InvalidRequest, RequestRefused, Unavailable
from txconsul.records.keyring import KeyringRequest, KeyringResponse, KeyringResponses
from txconsul.records.query import Context

__all__: list[str] = []

_CHANGES = ("install", "use", "remove")


@server("Internal.KeyringOperation", KeyringRequest)
def keyring_operation(site: Site, request: KeyringRequest, authorizer: Authorizer) -> Deferred[Answer]:
    """
    Change or list keys.

    @return: a Deferred of an L{Answer} of L{KeyringResponses}. What a pool cannot do stands in there; it fails if
        another datacenter cannot be asked.
    """
    if request.local_only and request.operation != "list":
        raise InvalidRequest("argument error: LocalOnly can only be used for List operations")
    if request.operation in _CHANGES:
        authorizer.require_keyring_write()
    elif request.operation == "list":
        authorizer.require_keyring_read()
    else:
        raise InvalidRequest(f'Invalid keyring operation "{request.operation}"')
    if not 0 <= request.relay_factor < 1 << 8:
        raise InvalidRequest(f"Invalid relay factor {request.relay_factor}")
    if site.pools is None:
        raise Unavailable("This server belongs to no gossip pool")
    return Deferred.fromCoroutine(_together(list(_asked(site, request))))


async def _together(asked: list[Deferred[list[KeyringResponse]]]) -> Answer:
    try:
        answers = await gatherResults(asked, consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()
    responses = KeyringResponses(responses=tuple([one for answer in answers for one in answer]))
    return Answer(0, responses, 0.0, False)  # it has nothing to do with the state


def _asked(site: Site, request: KeyringRequest) -> Iterator[Deferred[list[KeyringResponse]]]:
    """Every pool that is meant, in the order in which their answers are shown."""
    assert site.pools is not None, "there is a pool to ask"
    lan, wan = site.pools.lan, site.pools.wan
    everywhere = wan is not None and not request.local_only and not request.forwarded
    if everywhere:
        assert wan is not None, "there is a pool of all datacenters"
        yield _of_pool(wan, request, KeyringResponse(wan=True, datacenter=site.me.datacenter))
    yield _of_pool(lan, request, KeyringResponse(datacenter=site.me.datacenter))
    if everywhere:
        for name in site.other_datacenters():
            yield _of_datacenter(site, name, request)


def _of_pool(pool: Pool, request: KeyringRequest, shown: KeyringResponse) -> Deferred[list[KeyringResponse]]:
    """What the members of one pool say. @param shown: which pool it is."""

    def said(results: Any) -> list[KeyringResponse]:
        return [
            msgspec.structs.replace(
                shown,
                messages=results.messages,
                keys=results.keys,
                primary_keys=results.primary_keys,
                num_nodes=results.members,
                error=results.problem,
            )
        ]

    def refused(failure: Failure) -> list[KeyringResponse]:
        failure.trap(RequestRefused)
        return [_in_error(shown, str(failure.value))]

    try:
        key = b"" if request.operation == "list" else decode_base64(request.key)
    except BadBase64 as error:
        return succeed([_in_error(shown, str(error))])
    return pool.change_keys(request.operation, key, relay_factor=request.relay_factor).addCallbacks(said, refused)


def _in_error(shown: KeyringResponse, problem: str) -> KeyringResponse:
    """The answer of a pool that was not even asked."""
    return msgspec.structs.replace(shown, messages={}, keys={}, primary_keys={}, error=problem)


def _of_datacenter(site: Site, name: str, request: KeyringRequest) -> Deferred[list[KeyringResponse]]:
    """What another datacenter's pool says."""
    there = msgspec.structs.replace(request, datacenter=name, forwarded=True)
    context = Context(token=request.token, source="keyring")
    asked: Deferred[Any] = maybeDeferred(site.ask, "Internal.KeyringOperation", there, context)
    return asked.addCallback(lambda answer: list(answer.value.responses or ()))
