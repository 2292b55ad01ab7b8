import math
from decimal import Decimal

import pytest

from promptprop.adapters.models.offline.client import OfflineClient
from promptprop.domain.errors import CallTimedOut, OfflineWorldError, RequestRefused, UnknownModel
from promptprop.domain.models import PICO, Message, ModelRequest


def request_for(text: str, **changes: object) -> ModelRequest:
    fields = {"endpoint": "task", "model": "offline/task", "messages": (Message("user", text),)}
    return ModelRequest(**{**fields, **changes})


async def test_a_reply_is_simulated_priced_and_counted(desks, best_prompt):
    client = OfflineClient(desks, "task")
    text = best_prompt.replace("{{ text }}", desks.rows["p1"].inputs["text"])
    reply = await client.complete(request_for(text), 10)
    assert (reply.text, reply.finish_reason, reply.model) == ("billing", "stop", "offline/task")
    assert reply.simulated
    assert reply.latency == 0.0
    assert reply.usage.prompt_tokens == math.ceil(len(text) / 4)
    assert reply.usage.completion_tokens == 2
    assert reply.picousd == client.price().of(reply.usage) > 0


@pytest.mark.parametrize(("part", "usd"), [("task", "0.10"), ("critic", "2"), ("rewriter-weak", "2")])
def test_prices_are_those_of_a_small_and_a_large_model(desks, part, usd):
    price = OfflineClient(desks, f"offline/{part}").price()
    assert price.prompt * 10**6 == Decimal(usd) * PICO
    assert price.completion == 4 * price.prompt


async def test_an_answer_depends_on_nothing_but_messages_parameters_and_replicate(desks):
    text = f"Route: {desks.rows['p5'].inputs['text']}"
    first = OfflineClient(desks, "task")
    second = OfflineClient(desks, "task")
    for n in range(10):
        left = await first.complete(request_for(text, replicate=n), 10)
        right = await second.complete(request_for(text, replicate=n, endpoint="other", role="critic"), 10)
        assert left == right


async def test_max_tokens_cuts_the_answer_off(desks):
    text = f"Route: {desks.rows['p1'].inputs['text']}"
    reply = await OfflineClient(desks, "task").complete(request_for(text, parameters={"max_tokens": 1}), 10)
    assert len(reply.text) == 4
    assert reply.finish_reason == "length"
    assert reply.usage.completion_tokens == 1


async def test_a_latency_beyond_the_timeout_times_out(desks):
    client = OfflineClient(desks, "task")
    with pytest.raises(CallTimedOut):
        await client.complete(request_for("x", parameters={"latency": 5}), 0.001)
    assert await client.complete(request_for("x", parameters={"latency": 0.001}), 5)


@pytest.mark.parametrize("parameters", [{"max_tokens": "many"}, {"latency": -1}, {"max_tokens": True}])
async def test_parameters_that_make_no_sense_are_refused(desks, parameters):
    with pytest.raises(RequestRefused):
        await OfflineClient(desks, "task").complete(request_for("x", parameters=parameters), 10)


@pytest.mark.parametrize("part", ["embed"])
async def test_a_part_that_the_world_cannot_play_says_so_when_asked(desks, part):
    client = OfflineClient(desks, part)
    with pytest.raises(OfflineWorldError) as caught:
        await client.complete(request_for("x"), 10)
    assert caught.value.remedy


@pytest.mark.parametrize("part", ["tsak", "task-weak", "critic-odd", ""])
def test_an_unknown_part_is_refused_with_the_known_ones(desks, part):
    with pytest.raises(UnknownModel, match="offline/rewriter-strong"):
        OfflineClient(desks, part)


async def test_embeddings_are_of_unit_length_and_alike_for_like_texts(desks):
    client = OfflineClient(desks, "embed")
    texts = ["a charge on my card", "the charge on my card", "hello you", ""]
    same, near, far, empty = (await client.embed(texts, 10)).rows

    def likeness(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert all(likeness(v, v) == pytest.approx(1) for v in (same, near, far, empty))
    assert likeness(same, near) > likeness(same, far) + 0.3
    assert (await client.embed(["a charge on my card"], 10)).rows == [same]


async def test_closing_twice_is_fine(desks):
    client = OfflineClient(desks, "task")
    await client.close()
    await client.close()
