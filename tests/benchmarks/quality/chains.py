"""Simulated chains: the first step notes the facts of a letter, the second names the desk by the facts alone.

Both steps have latent rules. Those of the first say under which code a matter is noted, where its prompt does not;
those of the second send a thing with a matter to another desk than its own. Facts that are noted wrong are a case that
the second step has never seen, and it guesses: the symptom shows at the end, whatever step caused it. Only the desk is
scored. Never used for tuning.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from families import FORM_SAYS, FORM_SHOWN, QUESTIONS, ROWS, Family
from vocabularies import Condition

from promptprop.adapters.models.offline.chain import ChainWorld, answer_chain_role, answer_chain_task
from promptprop.adapters.models.offline.task import prospect_of, view_of
from promptprop.adapters.models.offline.world import Format, Rule, World, WorldRow
from promptprop.domain.models import Example, Json, Message, Program, Step, text_of

UNREAD = 0.45  # the share of matters whose code the first prompt does not tell
PLAIN = "k10"
FACTS_SEED = """You keep the register of the front desk. Note the facts of a letter as a JSON object with the fields
"ref", "thing" and "matter", and nothing else.

Things: {things}
Matters: {matters}

Letter:
{{{{ text }}}}"""
DESK_SEED = """You answer for the front desk. {task}

{things}

You see the facts of a letter. Which desk is it?

Facts:
{{{{ facts }}}}"""


@dataclass(frozen=True)
class ChainOffice:
    """A world of two steps with what a run needs of it, and what only the benchmark knows: the best prompts."""

    family: Family
    chain: ChainWorld
    task: str
    seed_texts: Mapping[str, str]
    best_texts: Mapping[str, str]

    @property
    def program(self) -> Program:
        """Two steps; the second sees what the first wrote."""
        return Program((Step("facts", "facts"), Step("desk", "answer")))

    def examples(self) -> dict[str, Example]:
        """The letters with the desks that are expected."""
        letters, desks = self.chain.steps["facts"].rows, self.chain.steps["desk"].rows
        return {key: Example(key, dict(row.inputs), desks[key].expected) for key, row in letters.items()}

    def true_of(self, texts: Mapping[str, str], rows: Sequence[str]) -> float:
        """The mean chance that the last answer is the expected one, over these rows; wrong facts end in a guess."""
        views = {step: view_of(world, texts[step]) for step, world in self.chain.steps.items()}
        facts, desk = self.chain.steps.values()
        guess = 1 / len(desk.answers)
        total = 0.0
        for key in rows:
            first = prospect_of(facts, facts.rows[key], views["facts"])
            second = prospect_of(desk, desk.rows[key], views["desk"])
            row, noted = desk.rows[key], 0.0 if first.chatty else first.chance
            right = second.chance if row.right == row.expected else 0.0
            right += 1 - second.chance if second.wrong == row.expected else 0.0
            total += noted * (0.0 if second.chatty else right) + (1 - noted) * guess
        return total / len(rows)

    def answer(self, messages: Sequence[Message], replicate: int) -> str:
        """What the simulated task model answers at the step whose row it is shown."""
        return answer_chain_task(self.chain, messages, replicate)

    def reply(self, part: str, messages: Sequence[Message], replicate: int) -> str:
        """What the simulated critic or rewriter replies."""
        return answer_chain_role(self.chain, part, self.family.variant, messages, replicate)


@dataclass(frozen=True)
class _Case:
    thing: str
    condition: Condition
    desk: str


@lru_cache(maxsize=256)
def chain_office_of(family: Family, number: int) -> ChainOffice:
    """World `number` of a family of chains: same family and number, same world, in every process."""
    rng = random.Random(f"{family.name}/{number}")
    vocabulary = family.vocabulary
    owners = {thing: desk for desk, things in vocabulary.desks.items() for thing in things}
    codes = dict(zip(rng.sample(vocabulary.conditions, len(vocabulary.conditions)), _codes(rng), strict=False))
    unread = list(codes)[: round(UNREAD * len(codes))]
    pairs = [(thing, condition) for thing in owners for condition in codes]
    rng.shuffle(pairs)
    cases = [
        _Case(thing, condition, rng.choice([desk for desk in vocabulary.desks if desk != owners[thing]]))
        for thing, condition in pairs[: family.rules]
    ]
    facts, desks = _rows(family, rng, cases, codes, unread, owners)
    name = f"{family.name}-{number}"
    reading = {rule.id: rule for rule in (_reading(condition, codes[condition], owners) for condition in unread)}
    sending = {rule.id: rule for rule in (_sending(case, codes[case.condition]) for case in cases)}
    common = {"skill": family.skill, "luck": family.luck, "traps": {}, "length": family.length}
    chain = ChainWorld(
        name,
        {
            "facts": World(f"{name}-facts", "extract", (), rows=facts, rules=reading, rewriter=family.powers, **common),
            "desk": World(
                f"{name}-desk",
                "classify",
                tuple(vocabulary.desks),
                rows=desks,
                rules=sending,
                format=Format("format", FORM_SAYS, FORM_SHOWN, family.formless),
                rewriter=family.powers,
                **common,
            ),
        },
    )
    told = "; ".join(f"{codes[one]} {one.named[0]}" for one in codes if one not in unread)
    listed = "\n".join(f"{desk}: {', '.join(things)}" for desk, things in vocabulary.desks.items())
    seed = {
        "facts": FACTS_SEED.format(things=", ".join(owners), matters=f"{PLAIN} a plain question; {told}"),
        "desk": DESK_SEED.format(task=vocabulary.task, things=listed),
    }
    return ChainOffice(family, chain, vocabulary.task, seed, _best(chain, seed))


def _codes(rng: random.Random) -> list[str]:
    return [f"k{number}" for number in rng.sample(range(11, 100), 40)]


def _reading(condition: Condition, code: str, owners: Mapping[str, str]) -> Rule:
    """The first step's rule: under which code a matter is noted."""
    one, two, three = condition.named
    says = (
        f"Note matter {code} where a thing is {one}.",
        f"If something was {two}, the matter is {code}.",
        f"Whatever is {three} has the matter {code}.",
    )
    when = tuple(written.format(thing) for written in condition.written for thing in owners)
    return Rule(f"read-{code}", says, (condition.words, (code,)), when)


def _sending(case: _Case, code: str) -> Rule:
    """The second step's rule: which desk gets a thing with a matter."""
    says = (
        f"A {case.thing} with matter {code} goes to {case.desk}.",
        f"If the thing is {case.thing} and the matter {code}, choose {case.desk}.",
        f"For {code}, a {case.thing} is a matter of {case.desk}.",
    )
    return Rule(f"send-{case.thing}-{code}".replace(" ", "-"), says, ((case.thing,), (code,), (case.desk,)), (code,))


def _rows(
    family: Family,
    rng: random.Random,
    cases: Sequence[_Case],
    codes: Mapping[Condition, str],
    unread: Sequence[Condition],
    owners: Mapping[str, str],
) -> tuple[dict[str, WorldRow], dict[str, WorldRow]]:
    """The rows of both steps, under the same ids."""
    vocabulary = family.vocabulary
    weights = [1 / (place + 1) ** family.zipf for place in range(len(cases))]
    facts: dict[str, WorldRow] = {}
    desks: dict[str, WorldRow] = {}
    references = rng.sample(range(1000, 10_000), ROWS)
    for number in range(ROWS):
        case = None if rng.random() < family.plain else rng.choices(cases, weights)[0]
        thing = case.thing if case else rng.choice(list(owners))
        matter = codes[case.condition] if case else PLAIN
        said = rng.choice(case.condition.written if case else QUESTIONS).format(thing)
        asides = rng.sample(vocabulary.asides, rng.randint(1, 3))
        opening = f"Ref. {references[number]}. {rng.choice(vocabulary.openings)}"
        text = " ".join([opening, *asides[:1], f"{said[0].upper()}{said[1:]}.", *asides[1:]])
        noted: dict[str, Json] = {"ref": str(references[number]), "thing": thing, "matter": matter}
        right = case.desk if case else owners[thing]
        expected = rng.choice(list(vocabulary.desks)) if rng.random() < family.wrong_labels else right
        difficulty = family.hard * rng.random() ** 2
        reading: dict[str, Json] = {}
        if case and case.condition in unread:
            others = [code for code in codes.values() if code != matter]
            reading = {f"read-{matter}": {"matter": rng.choice(others)}}
        sending: dict[str, Json] = {f"send-{thing}-{matter}".replace(" ", "-"): owners[thing]} if case else {}
        name = f"r{number:03d}"
        facts[name] = WorldRow(name, {"text": text}, noted, noted, difficulty, reading)
        desks[name] = WorldRow(name, {"facts": text_of(noted)}, expected, right, difficulty, sending)
    return facts, desks


def _best(chain: ChainWorld, seed: Mapping[str, str]) -> dict[str, str]:
    """The seeds with every rule in its shortest wording, and with the form of the answer."""
    best = {}
    for step, world in chain.steps.items():
        lines = [min(rule.says, key=len) for rule in world.rules.values()]
        lines += [min(world.format.says, key=len)] if world.format else []
        head, mark, tail = seed[step].rpartition("\n\n")
        best[step] = f"{head}\n" + "".join(f"- {line}\n" for line in lines) + f"{mark}{tail}"
    return best
