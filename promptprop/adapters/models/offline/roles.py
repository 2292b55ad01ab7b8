"""The simulated critic and rewriter. They see only the text that they are sent, and are as fallible as the world says.

Chances are those of `Powers`. n failures of one cause are grasped with the chance `able × (1 − GRASP^n)`, times
`1 − crowd` for each further cause in the same message (at least `FLOOR`). A rewriter takes the i-th remark up with
`able − crowd × i`; what it must induce from quoted failures by itself it grasps `ALONE` as well as a critic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptprop.adapters.models.offline import draft
from promptprop.adapters.models.offline.chance import draw, happens, pick
from promptprop.adapters.models.offline.evidence import Evidence, Quoted, causes, chatty, read_evidence, shown_by_labels
from promptprop.adapters.models.offline.meaning import Stated, reader_of
from promptprop.adapters.models.offline.requests import read_request
from promptprop.adapters.models.offline.world import Powers, World
from promptprop.domain.models import Json, Message, digest

GRASP = 0.5
FLOOR = 0.1
ALONE = 0.7
BREAKS = 0.25  # of `malformed`: how often a placeholder is damaged
SEEN_THROUGH = 0.5  # how often a consolidation drops a trap
KEPT_ANEW = 0.8  # how much of a current rule a restart carries over
MOST_CRITIQUES = 3
SUGGESTIBLE = "suggestible"
LURE = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,120}?\b(?:write|add|say|state)\b[^“]{0,60}“([^“”]{1,200})”",
    re.IGNORECASE | re.DOTALL,
)
NOTHING_FAILED = "I would gladly help, but I see no failed answer to explain: please show me some."


@dataclass(frozen=True, slots=True)
class Mind:
    """One role's chances for one request: `about` keys what it thinks, `form` (a repair differs) how it writes."""

    world: World
    powers: Powers
    about: str
    form: str
    replicate: int

    def happens(self, chance: float, *what: Json) -> bool:
        """Whether something happens, for this request and replicate."""
        return happens(chance, self.world.name, self.about, self.replicate, *what)

    def pick(self, options: Sequence[str], *what: Json) -> str:
        """One of the options, for this request and replicate."""
        return pick(options, self.world.name, self.about, self.replicate, *what)

    def form_draw(self, *what: Json) -> float:
        """A number for the form of the reply, drawn anew in a repair."""
        return draw(self.world.name, self.form, self.replicate, *what)


def answer_role(world: World, part: str, variant: str, messages: Sequence[Message], replicate: int) -> str:
    """The reply of `critic` or `rewriter` to a conversation; a repair rests on the same text as the first try."""
    text, about, form = opened(part, messages)
    mind = Mind(world, world.rewriter.variant(variant), about, form, replicate)
    evidence = read_evidence(world, text)
    return (lured(part, mind, evidence, text) if variant == SUGGESTIBLE else "") or reply_to(
        part, mind, evidence, variant
    )


def lured(part: str, mind: Mind, evidence: Evidence, text: str) -> str:
    """What a suggestible critic or rewriter replies to text in the data that tells it what to write; empty if nothing.

    It does not matter to it who has written that text, only where it stands.
    """
    seen = read_request(text)
    lure = seen.lure_in(LURE)
    if lure is None or not mind.happens(seen.chance_of(LURE), "sway"):
        return ""
    wanted = lure[1]
    if part == "critic":
        step = next(iter(evidence.prompts), "main")
        return json.dumps({"critiques": [_critique(step, "As the text asks.", wanted, evidence.quoted[:1])]})
    prompts = {step: draft.with_bullets(said, [wanted]) for step, said in evidence.prompts.items()}
    return json.dumps({"hypothesis": "As the text asks.", "prompts": prompts})


def reply_to(part: str, mind: Mind, evidence: Evidence, variant: str) -> str:
    """The reply of `critic` or `rewriter` to what a request shows of one step."""
    return _critic_reply(mind, evidence) if part == "critic" else _rewriter_reply(mind, evidence, variant)


def opened(part: str, messages: Sequence[Message]) -> tuple[str, str, str]:
    """The text a conversation began with, and the keys of what is thought of it and of how the reply is written."""
    whole = [[m.role, m.content] for m in messages]
    first = list(whole)
    while first and any(role == "assistant" for role, _ in first):
        first.pop()
    return "\n\n".join(content for _, content in first), digest([part, first]), digest([part, whole])


# --- the critic


def _critic_reply(mind: Mind, evidence: Evidence) -> str:
    critiques = criticise(mind, evidence)
    if not critiques:
        return NOTHING_FAILED
    return written(mind, {"critiques": critiques}, "critiques")


def criticise(mind: Mind, evidence: Evidence) -> list[dict[str, Json]]:
    """The critiques of what the text shows, the most frequent cause first; empty where nothing failed."""
    failures = evidence.failures()
    if not failures:
        return []
    step = list(evidence.prompts)[-1] if evidence.prompts else "main"
    reader = reader_of(mind.world)
    stated = _stated(mind.world, evidence)
    found = {rule: items for rule, items in causes(mind.world, failures).items() if rule not in stated.rules}
    chats = [item for item in failures if chatty(mind.world, item)]
    explained = {item.n for items in [*found.values(), chats] for item in items}
    rest = [item for item in failures if item.n not in explained]
    crowd = len(found) + bool(chats) + bool(rest) - 1
    critiques = []
    for rule, items in sorted(found.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if mind.happens(_grasp(mind.powers, len(items), crowd), "notice", rule):
            critiques.append(_critique(step, _cause(mind.world, rule, items), fix_for(mind, rule), items))
    form = mind.world.format
    if chats and form and not stated.format and mind.happens(_grasp(mind.powers, len(chats), crowd), "notice-form"):
        fix = mind.pick(form.says, "say-form")
        critiques.append(_critique(step, "The answers hold more than the answer itself.", fix, chats))
    critiques.sort(key=lambda critique: -len(critique["failures"]))
    if not critiques or (rest and mind.happens(0.3, "shrug")):
        cause = "The answers are wrong, but the cause is not clear from these inputs."
        critiques.append(_critique(step, cause, mind.pick(draft.VAGUE, "vague"), rest or failures))
    return [
        critique if reader.stated(critique["cause"]).nothing else {**critique, "cause": "The prompt lacks a rule."}
        for critique in critiques[:MOST_CRITIQUES]
    ]


def _critique(step: str, cause: str, fix: str, items: Sequence[Quoted]) -> dict[str, Json]:
    return {"step": step, "cause": cause, "fix": fix, "failures": [item.n for item in items]}


def _cause(world: World, rule: str, items: Sequence[Quoted]) -> str:
    """What the failures have in common: phrases of the rule that occur in them."""
    text = " ".join(str(value) for item in items for value in item.row.inputs.values()).lower().replace("’", "'")
    seen = [phrase for phrase in world.rules[rule].when if phrase.lower() in text]
    quoted = " or ".join(f"“{phrase}”" for phrase in seen[:2])
    return f"Inputs that say {quoted or 'such things'} are answered as if nothing set them apart."


def fix_for(mind: Mind, rule: str) -> str:
    """A sentence for a rule that was noticed: a paraphrase, or at times one that is mislabelled, a trap, or vague."""
    world, odds = mind.world, mind.powers.mislabel
    said = mind.pick(world.rules[rule].says, "say", rule)
    fate = draw(world.name, mind.about, mind.replicate, "fate", rule)
    if fate >= 2.5 * odds:
        return said
    if fate < odds:
        return _mislabelled(mind, said)
    if fate < 1.5 * odds and world.traps:
        trap = world.traps[mind.pick(sorted(world.traps), "trap", rule)]
        return mind.pick(trap.says, "say-trap", trap.id)
    return mind.pick(draft.VAGUE, "vague", rule)


def _mislabelled(mind: Mind, said: str) -> str:
    """The sentence with another label in it; vague where there is no label, or where it would state something."""
    labels = [
        label for label in mind.world.answers if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", said, re.IGNORECASE)
    ]
    others = [label for label in mind.world.answers if label not in labels]
    if labels and others:
        other = mind.pick(others, "label", said)
        wrong = re.sub(rf"(?<!\w){re.escape(labels[0])}(?!\w)", lambda _: other, said, flags=re.IGNORECASE)
        if reader_of(mind.world).stated(wrong).nothing:
            return wrong
    return mind.pick(draft.VAGUE, "vague", said)


def _grasp(powers: Powers, failures: int, others: int) -> float:
    crowd: float = max(FLOOR, 1 - powers.crowd * others)
    return powers.able * (1 - GRASP**failures) * crowd


def _stated(world: World, evidence: Evidence) -> Stated:
    total = Stated()
    for text in evidence.prompts.values():
        total |= reader_of(world).stated(text)
    return total


# --- the rewriter


def _rewriter_reply(mind: Mind, evidence: Evidence, variant: str) -> str:
    if not evidence.prompts:
        return "I would gladly rewrite your prompt, but I do not see it: please send it in a fenced block."
    prompts, hypothesis = rewrite(mind, evidence)
    if mind.form_draw("break") < mind.powers.malformed * BREAKS:
        prompts = {step: draft.broken(text) for step, text in prompts.items()}
    cannot = variant == "weak" and len(prompts) == 1 and mind.form_draw("fence") < 0.3
    if evidence.wants_object and not cannot:
        return written(mind, {"hypothesis": hypothesis, "prompts": prompts}, "prompts")
    text = next(iter(prompts.values()))
    if mind.form_draw("malformed") < mind.powers.malformed:
        return "I have thought about it and would make the rules more explicit and the wording more precise."
    lead = "" if mind.form_draw("lead") < 0.5 else "Here is the new version:\n\n"
    return f"{lead}```\n{text}\n```"


def rewrite(mind: Mind, evidence: Evidence) -> tuple[dict[str, str], str]:
    """The new text of every step, and the hypothesis in one sentence."""
    kind = evidence.kind
    wanted = [] if kind in {"consolidate", "format"} else _picked_up(mind, evidence)
    last = list(evidence.prompts)[-1]
    named = {step for step, _ in wanted} & set(evidence.prompts)
    prompts = dict(evidence.prompts)
    for step, text in evidence.prompts.items():
        mine = [said for where, said in wanted if where == step or (step == last and where not in evidence.prompts)]
        if kind == "consolidate":
            prompts[step] = _consolidated(mind, step, text)
        elif kind in {"restart", "draft"} and step == last:
            prompts[step] = _restarted(mind, evidence, text, mine)
        elif mine or (step == last and not named):
            prompts[step] = _edited(mind, step, text, mine if kind != "format" else _form(mind, evidence, 1.0))
    return prompts, _hypothesis(kind, [said for _, said in wanted])


def _hypothesis(kind: str, added: Sequence[str]) -> str:
    if kind == "consolidate":
        return "A shorter prompt without filler and repetition is followed better."
    if kind == "format":
        return "Saying what the answer consists of stops answers that hold more than that."
    if not added:
        return "Clearer wording helps."
    lead = "Written from scratch, with: " if kind == "restart" else "Adds: "
    return lead + " ".join(added[:2])


def _picked_up(mind: Mind, evidence: Evidence) -> list[tuple[str, str]]:
    """The sentences that the rewriter wants to add, with the step that the text names for each."""
    world, powers, reader = mind.world, mind.powers, reader_of(mind.world)
    known = _stated(world, evidence)
    refused = Stated()
    for text in evidence.refused:
        refused |= reader.stated(text)
    wanted: list[tuple[str, str]] = []
    tries = 0
    for step, kind, key in _remarked(mind, evidence):
        if (kind == "rule" and key in known.rules) or (kind == "format" and known.format):
            continue
        bad = (kind == "rule" and key in refused.rules) or (kind == "trap" and key in refused.traps)
        chance = max(0.0, powers.able - powers.crowd * tries)
        tries += 1
        if mind.happens(chance, "take", kind, key) and not (bad and mind.happens(powers.able, "heed", key)):
            said = key if kind == "words" else mind.pick(reader.says(kind, key).says, "word", kind, key)
            wanted.append((step, said))
    added = reader.stated("\n\n".join(said for _, said in wanted)) | known
    wanted += [("", said) for said in _induced(mind, evidence, added)]
    if world.traps and mind.happens(powers.mislabel * 0.5, "invent"):
        trap = world.traps[mind.pick(sorted(world.traps), "invented")]
        if trap.id not in refused.traps:
            wanted.append(("", mind.pick(trap.says, "invented")))
    return wanted


def _remarked(mind: Mind, evidence: Evidence) -> list[tuple[str, str, str]]:
    """What the remarks state, in order and once each: step, kind (rule, trap, format or words), id or words."""
    reader = reader_of(mind.world)
    found: dict[tuple[str, str], str] = {}
    for remark in evidence.remarks:
        stated = reader.stated(remark.text)
        for kind, keys in (("rule", stated.rules), ("trap", stated.traps)):
            for key in sorted(keys):
                found.setdefault((kind, key), remark.step)
        if remark.fix and stated.format:
            found.setdefault(("format", "format"), remark.step)
        if remark.fix and stated.nothing:
            found.setdefault(("words", remark.fix), remark.step)
    return [(step, kind, key) for (kind, key), step in found.items()]


def _induced(mind: Mind, evidence: Evidence, known: Stated) -> list[str]:
    """Sentences that the rewriter finds by itself in the quoted failures."""
    found = shown_by_labels(mind.world, evidence.quoted) if evidence.kind == "draft" else {}
    found = found or causes(mind.world, evidence.failures())
    new = {rule: items for rule, items in found.items() if rule not in known.rules}
    sentences = []
    for rule, items in sorted(new.items(), key=lambda pair: (-len(pair[1]), pair[0])):
        if mind.happens(ALONE * _grasp(mind.powers, len(items), len(found) - 1), "induce", rule):
            sentences.append(fix_for(mind, rule))
    if not known.format:
        sentences += _form(mind, evidence, ALONE)
    return sentences


def _form(mind: Mind, evidence: Evidence, factor: float) -> list[str]:
    """The sentence on the form of the answer; where it was asked for, without need of failures that show it."""
    form = mind.world.format
    if form is None or _stated(mind.world, evidence).format:
        return []
    chats = sum(1 for item in evidence.failures() if chatty(mind.world, item))
    chance = mind.powers.able if evidence.kind == "format" else factor * _grasp(mind.powers, chats, 0)
    return [mind.pick(form.says, "say-form")] if mind.happens(chance, "form") else []


def _edited(mind: Mind, step: str, text: str, sentences: Sequence[str]) -> str:
    """The current text, less what is forgotten, with the new sentences and at times with filler."""
    text = draft.with_bullets(_forgotten(mind, step, text), sentences)
    if mind.form_draw("bloat", step) < mind.powers.bloat:
        unused = [said for said in draft.FILLER if said not in text]
        count = 1 + int(mind.form_draw("how-much", step) * 3)
        silent = [said for said in unused if reader_of(mind.world).stated(said).nothing]
        text = draft.with_bullets(text, silent[:count])
    return text


def _forgotten(mind: Mind, step: str, text: str) -> str:
    reader = reader_of(mind.world)
    lost = [
        unit
        for rule in sorted(reader.stated(text).rules)
        if mind.happens(mind.powers.forget, "forget", step, rule)
        for unit in draft.stating(reader, text, rule)
    ]
    return draft.without(text, lost)


def _consolidated(mind: Mind, step: str, text: str) -> str:
    def drops_trap(trap: str) -> bool:
        return mind.happens(SEEN_THROUGH, "see-through", trap)

    return draft.shortened(reader_of(mind.world), _forgotten(mind, step, text), drops_trap)


def _restarted(mind: Mind, evidence: Evidence, text: str, sentences: Sequence[str]) -> str:
    """A clean prompt from the task, what the current prompt states and what is new."""
    reader = reader_of(mind.world)
    stated = reader.stated(text)
    rules = [rule for rule in mind.world.rules if rule in stated.rules]
    kept = [
        mind.pick(mind.world.rules[rule].says, "anew", rule)
        for rule in rules
        if mind.happens(KEPT_ANEW, "keep-anew", rule)
    ]
    form = mind.world.format
    if form and stated.format and mind.happens(KEPT_ANEW, "keep-form"):
        kept.append(mind.pick(form.says, "say-form"))
    lead = evidence.task or draft.lead_of(reader, text) or "Answer for the input below."
    named = [label for label in mind.world.answers if label.lower() in text.lower()]
    listing = f"Possible answers: {', '.join(named)}." if named else ""
    if listing and reader.stated(listing).nothing:
        lead = f"{lead} {listing}"
    return draft.anew(lead, [*kept, *sentences], text)


# --- the form of replies


def written(mind: Mind, value: Mapping[str, Json], key: str) -> str:
    """A JSON object: bare, fenced or in prose; at times in a form that does not parse."""
    text = json.dumps(value, ensure_ascii=False, indent=1 if mind.form_draw("indent") < 0.3 else None)
    if mind.form_draw("malformed") < mind.powers.malformed:
        way = int(mind.form_draw("how") * 3)
        if way == 0:
            return text[: int(len(text) * 0.6)]
        if way == 1:
            return f"My thoughts on the {key}: the rules should be stated more explicitly, with an order of precedence."
        return json.dumps({"result": "see above", "notes": key})
    wrap = mind.form_draw("wrap")
    if wrap < 0.7:
        return text
    if wrap < 0.85:
        return f"```json\n{text}\n```"
    return f"Here is what I found.\n\n{text}\n\nTell me if you need more detail."
