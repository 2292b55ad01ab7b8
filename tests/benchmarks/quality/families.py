"""Simulated worlds by family and number. Tuning and reporting families share neither words nor parameters.

A world is an office: desks that answer for things by default, and latent rules, each an exception (a thing that
something has befallen goes to another desk). A row is a letter that mentions one or more such cases among small talk;
a row without one is answered by the default desk. The seed prompt names the desks and the things, and no exception.

The reporting families were written down, with all their numbers, before anything was tuned, and are only ever run to
report; so are the chains, whose rows are in chains.py. Simulated: evidence about search, and none about language
models.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from vocabularies import CITY, CLINIC, FREIGHT, SHOP, TELECOM, Condition, Vocabulary

from promptprop.adapters.models.offline.roles import answer_role
from promptprop.adapters.models.offline.task import answer_task, true_score, view_of
from promptprop.adapters.models.offline.world import Format, Length, Powers, Rule, Trap, World, WorldRow
from promptprop.domain.models import Example, Json, Message, Program, Step

if TYPE_CHECKING:
    from chains import ChainOffice

ROWS = 280
SEED = """You answer for the front desk. {task}

{things}

{ask}

Letter:
{{{{ text }}}}"""


@dataclass(frozen=True)
class Family:
    """The numbers of a family. Shares are of all rows; `zipf` 0 makes all rules equally frequent."""

    name: str
    vocabulary: Vocabulary
    about: str
    rules: int = 14
    zipf: float = 0.6
    plain: float = 0.28
    pairs: float = 0.08
    wrong_labels: float = 0.02
    traps: int = 2
    skill: float = 0.93
    luck: float = 0.10
    hard: float = 0.15
    formless: float = 0.9
    length: Length = field(default=Length(2600, 0.01))
    powers: Powers = field(default=Powers())
    variant: Literal["", "weak", "strong"] = ""
    metric: Literal["exact", "fields", "jury"] = "exact"
    told: float = 0.0  # the share of rules, the most frequent first, that the seed prompt states; 1: the form, too
    chain: bool = False  # two steps: facts first, then the desk


@dataclass(frozen=True)
class Office:
    """A world with what a run needs of it, and what only the benchmark knows: the best prompt that can be written."""

    family: Family
    world: World
    task: str
    seed_prompt: str
    best_prompt: str = field(default="", compare=False)

    @property
    def program(self) -> Program:
        """One step."""
        return Program((Step("main", "answer"),))

    @property
    def seed_texts(self) -> dict[str, str]:
        """The seed prompt by step."""
        return {"main": self.seed_prompt}

    @property
    def best_texts(self) -> dict[str, str]:
        """The best prompt by step."""
        return {"main": self.best_prompt}

    def examples(self) -> dict[str, Example]:
        """All rows as a dataset has them: what is expected, and not what is right."""
        return {key: Example(key, dict(row.inputs), row.expected) for key, row in self.world.rows.items()}

    def true(self, prompt: str, rows: Sequence[str]) -> float:
        """The mean chance of an answer to be right, over these rows."""
        return true_score(self.world, prompt, rows)

    def true_of(self, texts: Mapping[str, str], rows: Sequence[str]) -> float:
        """The same, of prompts by step."""
        return self.true(texts["main"], rows)

    def answer(self, messages: Sequence[Message], replicate: int) -> str:
        """What the simulated task model answers."""
        return answer_task(self.world, messages, replicate)

    def reply(self, part: str, messages: Sequence[Message], replicate: int) -> str:
        """What the simulated critic or rewriter replies."""
        return answer_role(self.world, part, self.family.variant, messages, replicate)


TUNING = (
    Family("many", TELECOM, "20 rules, some rare", rules=20, zipf=0.8),
    Family("few", SHOP, "8 frequent rules, noisy answers", rules=8, zipf=0.0, skill=0.88, hard=0.25),
    Family(
        "traps",
        TELECOM,
        "harmful rules and wrong labels",
        rules=13,
        traps=5,
        wrong_labels=0.06,
        powers=Powers(mislabel=0.12),
    ),
    Family("weak", SHOP, "a weak critic and rewriter", rules=12, variant="weak"),
    Family("brief", SHOP, "long prompts hurt", rules=12, length=Length(900, 0.03), powers=Powers(bloat=0.35)),
    Family("fields", TELECOM, "three fields, graded", rules=12, metric="fields"),
    Family("jury", SHOP, "a noisy jury as the only score", rules=12, metric="jury"),
    Family("half told", TELECOM, "a seed that states half of the rules", rules=14, told=0.5),
)
REPORTING = (
    Family("rare rules", CITY, "28 rules, most of them rare", rules=28, zipf=1.0, plain=0.3),
    Family("pairs", CLINIC, "a third of the rows need two rules", rules=14, zipf=0.4, pairs=0.34, skill=0.95),
    Family(
        "harmful",
        FREIGHT,
        "many harmful rules, 8 % wrong labels",
        rules=16,
        traps=8,
        wrong_labels=0.08,
        powers=Powers(mislabel=0.15),
    ),
    Family("brevity", CLINIC, "long prompts hurt much", rules=16, length=Length(1000, 0.04), powers=Powers(bloat=0.4)),
    Family("weak models", FREIGHT, "a weak critic and rewriter", rules=18, zipf=0.5, variant="weak"),
    Family("strong models", CITY, "a strong critic and rewriter", rules=24, zipf=0.7, variant="strong"),
    Family("noisy", CLINIC, "answers that often flip", rules=12, skill=0.85, hard=0.35, luck=0.15),
    Family("records", FREIGHT, "three fields, graded", rules=15, metric="fields", wrong_labels=0.03),
    Family("jury only", CITY, "a noisy, biased jury as the only score", rules=14, metric="jury"),
    Family("good seed", FREIGHT, "a seed that states 60 % of the rules", rules=20, told=0.6),
    Family("nothing to gain", CLINIC, "a seed that states all there is to state", rules=12, told=1.0),
)
CHAINS = (
    Family("two steps", CITY, "facts first, then the desk", rules=14, zipf=0.4, hard=0.1, chain=True),
    Family(
        "two weak steps",
        FREIGHT,
        "facts first, then the desk; weak models",
        rules=10,
        zipf=0.4,
        hard=0.1,
        variant="weak",
        chain=True,
    ),
)
FAMILIES: Mapping[str, tuple[Family, ...]] = {"tuning": TUNING, "reporting": REPORTING, "chains": CHAINS}


@dataclass(frozen=True)
class _Case:
    """A thing that something has befallen, and the desk that its rule names."""

    thing: str
    condition: Condition
    desk: str
    default: str

    @property
    def name(self) -> str:
        return f"{self.thing}-{self.condition.named[0]}".replace(" ", "-")

    def says(self) -> tuple[str, str, str]:
        one, two, three = self.condition.named
        return (
            f"A {self.thing} {one} goes to {self.desk}.",
            f"If a letter is about a {self.thing} {two}, choose {self.desk}, whoever else might be asked.",
            f"Everything that has to do with a {self.thing} {three} is a matter for {self.desk}.",
        )

    def shown_by(self) -> tuple[tuple[str, ...], ...]:
        return ((self.thing,), self.condition.words, (self.desk,))

    def when(self) -> tuple[str, ...]:
        return tuple(written.format(self.thing) for written in self.condition.written)


def office_of(family: Family, number: int) -> Office | ChainOffice:
    """World `number` of a family: same family and number, same world, in every process."""
    if family.chain:
        from chains import chain_office_of

        return chain_office_of(family, number)
    return one_step_office_of(family, number)


@lru_cache(maxsize=256)
def one_step_office_of(family: Family, number: int) -> Office:
    """World `number` of a family of one step."""
    rng = random.Random(f"{family.name}/{number}")
    vocabulary = family.vocabulary
    cases = _cases(family, rng)
    rules = {case.name: Rule(case.name, case.says(), case.shown_by(), case.when()) for case in cases}
    rows = _rows(family, rng, cases)
    traps = _traps(family, rng, cases, rows)
    form = Format("format", FORM_SAYS, FORM_SHOWN, family.formless) if family.metric != "fields" else None
    world = World(
        f"{family.name}-{number}",
        "extract" if family.metric == "fields" else "classify",
        tuple(vocabulary.desks),
        family.skill,
        family.luck,
        rows,
        rules,
        traps,
        form,
        family.length,
        family.powers,
    )
    things = "\n".join(f"{desk}: {', '.join(things)}" for desk, things in vocabulary.desks.items())
    ask = FIELDS_ASK if family.metric == "fields" else "Which desk is it?"
    seed = _seed_prompt(family, world, SEED.format(task=vocabulary.task, things=things, ask=ask))
    office = Office(family, world, vocabulary.task, seed)
    return replace(office, best_prompt=_best_prompt(office))


QUESTIONS = ("I have a question on my {}", "what about the {}", "where do I ask for a {}")
FORM_SAYS = (
    "Answer with the name of one desk and nothing else.",
    "Reply with just the desk, in lower case, with no explanation.",
    "Output only one word, the desk.",
)
FORM_SHOWN = (
    ("only", "nothing else", "no other text", "no explanation", "just the", "just one", "one word", "single word"),
    ("desk", "name", "word", "answer", "reply", "output"),
)
FIELDS_ASK = 'Answer with a JSON object: {"desk": …, "thing": …, "urgent": "yes" or "no"}.'


def _cases(family: Family, rng: random.Random) -> list[_Case]:
    """The exceptions of a world, in the order of their frequency."""
    vocabulary = family.vocabulary
    owners = {thing: desk for desk, things in vocabulary.desks.items() for thing in things}
    pairs = [(thing, condition) for thing in owners for condition in vocabulary.conditions]
    rng.shuffle(pairs)
    cases = []
    for thing, condition in pairs[: family.rules]:
        desk = rng.choice([desk for desk in vocabulary.desks if desk != owners[thing]])
        cases.append(_Case(thing, condition, desk, owners[thing]))
    return cases


def _rows(family: Family, rng: random.Random, cases: Sequence[_Case]) -> dict[str, WorldRow]:
    weights = [1 / (place + 1) ** family.zipf for place in range(len(cases))]
    rows: dict[str, WorldRow] = {}
    texts: set[str] = set()
    while len(rows) < ROWS:
        fate = rng.random()
        if fate < family.plain:
            chosen: list[_Case] = []
        else:
            chosen = [rng.choices(cases, weights)[0]]
            if fate > 1 - family.pairs:
                others = [case for case in cases if case.desk == chosen[0].desk and case is not chosen[0]]
                chosen += rng.sample(others, 1) if others else []
        row = _row(family, rng, f"r{len(rows):03d}", chosen)
        if row.inputs["text"] not in texts:
            texts.add(row.inputs["text"])
            rows[row.id] = row
    return rows


def _row(family: Family, rng: random.Random, name: str, chosen: Sequence[_Case]) -> WorldRow:
    vocabulary = family.vocabulary
    owners = {thing: desk for desk, things in vocabulary.desks.items() for thing in things}
    if chosen:
        said = [rng.choice(case.when()) for case in chosen]
        thing, right, default = chosen[0].thing, chosen[0].desk, chosen[0].default
    else:
        thing = rng.choice(list(owners))
        said = [rng.choice(QUESTIONS).format(thing)]
        right = default = owners[thing]
    urgent = rng.random() < 0.3
    asides = rng.sample(vocabulary.asides, rng.randint(1, 4)) + (["Please answer today!"] if urgent else [])
    rng.shuffle(asides)
    half = rng.randint(0, len(asides))
    body = " And ".join(sentence[0].upper() + sentence[1:] + "." for sentence in said[:1])
    body += "".join(f" Also, {sentence}." for sentence in said[1:])
    text = " ".join([rng.choice(vocabulary.openings), *asides[:half], body, *asides[half:]])
    answer: Json = right
    needs: dict[str, Json] = {case.name: case.default if case.default != right else default for case in chosen}
    if family.metric == "fields":
        answer = {"desk": right, "thing": thing, "urgent": "yes" if urgent else "no"}
        needs = {case.name: {"desk": default} for case in chosen}
    expected = answer
    if rng.random() < family.wrong_labels:
        other = rng.choice([desk for desk in vocabulary.desks if desk != right])
        expected = {**answer, "desk": other} if family.metric == "fields" else other
    difficulty = family.hard * rng.random() ** 2
    needs = {rule: wrong for rule, wrong in needs.items() if wrong != answer}
    return WorldRow(name, {"text": text}, expected, answer, difficulty, needs)


def _traps(family: Family, rng: random.Random, cases: Sequence[_Case], rows: Mapping[str, WorldRow]) -> dict[str, Trap]:
    """Plausible rules that are wrong: all letters on a thing to one desk, whatever has befallen it."""
    vocabulary = family.vocabulary
    owners = {thing: desk for desk, things in vocabulary.desks.items() for thing in things}
    traps: dict[str, Trap] = {}
    for thing in rng.sample(list(owners), family.traps):
        desk = rng.choice([desk for desk in vocabulary.desks if desk != owners[thing]])
        breaks: dict[str, Json] = {}
        for row in rows.values():
            right = row.right["desk"] if isinstance(row.right, dict) else row.right
            if thing in row.inputs["text"] and right != desk:
                breaks[row.id] = {"desk": desk} if isinstance(row.right, dict) else desk
        says = (
            f"Whatever concerns a {thing} is always for {desk}.",
            f"Without exception, {desk} takes each letter on a {thing}.",
        )
        shown = ((thing,), ("always", "without exception"), (desk,))
        name = f"all-{thing}".replace(" ", "-")
        traps[name] = Trap(name, says, shown, breaks)
    return traps


def _by_frequency(world: World) -> list[str]:
    """The ids of rules, those that most rows need first."""
    frequency = {rule: sum(rule in row.needs for row in world.rows.values()) for rule in world.rules}
    return sorted(world.rules, key=lambda rule: (-frequency[rule], rule))


def _with_lines(prompt: str, lines: Sequence[str]) -> str:
    return prompt.replace("\nLetter:\n", "\n" + "".join(f"- {line}\n" for line in lines) + "\nLetter:\n")


def _seed_prompt(family: Family, world: World, plain: str) -> str:
    """The plain prompt with the share of rules that the family's seed states."""
    if not family.told:
        return plain
    known = _by_frequency(world)[: round(family.told * len(world.rules))]
    lines = [min(world.format.says, key=len)] if world.format and family.told == 1 else []
    return _with_lines(plain, [*lines, *(min(world.rules[rule].says, key=len) for rule in known)])


def _best_prompt(office: Office) -> str:
    """The best prompt that can be written: the form, and rules in their shortest wording while each still pays."""
    world = office.world
    stated = view_of(world, office.seed_prompt).stated
    lines = [min(world.format.says, key=len)] if world.format and not stated.format else []
    ordered = [rule for rule in _by_frequency(world) if rule not in stated.rules]
    best, best_score = office.seed_prompt, true_score(world, office.seed_prompt)
    for count in range(len(ordered) + 1):
        said = [*lines, *(min(world.rules[rule].says, key=len) for rule in ordered[:count])]
        prompt = _with_lines(office.seed_prompt, said)
        score = true_score(world, prompt)
        if score > best_score:
            best, best_score = prompt, score
    return best
