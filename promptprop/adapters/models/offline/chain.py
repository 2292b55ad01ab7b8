"""A simulated chain: a world for each step, and a critic and rewriter that read failures of the whole.

The task model plays the step whose row it finds in what it is sent: the last step's rows are what the steps before it
write when they are right. Facts that are wrong are a case that the last step has never seen, and it guesses: the
symptom shows at the end, whatever step caused it. A critic can lay a failure at an earlier step only where the text
shows what that step wrote; without a trace it looks at the last step alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from promptprop.adapters.models.offline import roles
from promptprop.adapters.models.offline.evidence import Evidence, Quoted, object_of, parsed_object, read_evidence
from promptprop.adapters.models.offline.roles import Mind, criticise, rewrite
from promptprop.adapters.models.offline.task import answer_task, index_of
from promptprop.adapters.models.offline.tree import read_tree
from promptprop.adapters.models.offline.world import World, WorldRow
from promptprop.adapters.models.offline.worldfile import SUFFIX, load_world
from promptprop.domain.errors import ConfigError, Place, Problem
from promptprop.domain.models import Json, Message, text_of


@dataclass(frozen=True, eq=False)
class ChainWorld:
    """The worlds of the steps, in their order; `name` seeds all randomness."""

    name: str
    steps: Mapping[str, World]

    @property
    def last(self) -> str:
        """The id of the last step: what is scored."""
        return list(self.steps)[-1]


def chain_files(path: Path) -> dict[str, Path]:
    """The world files of the steps that a chain's world file names; empty for the world of one step."""
    tree = read_tree(path.read_text(encoding="utf-8"), str(path))
    steps = tree.value.get("chain") if isinstance(tree.value, dict) else None
    return {str(step): path.with_name(str(name)) for step, name in steps.items()} if isinstance(steps, dict) else {}


def load_any(path: Path) -> World | ChainWorld:
    """The world of a file, or the chain that it names. Raises ConfigError, DataError."""
    try:
        files = chain_files(path)
    except (OSError, UnicodeDecodeError):
        files = {}  # the other reader says what is wrong
    if not files:
        return load_world(path)
    name = path.name.removesuffix(SUFFIX)
    if len(files) < 2:
        raise ConfigError(Problem("a chain names the world of at least two steps", Place(str(path))))
    return ChainWorld(name, {step: load_world(file) for step, file in files.items()})


def answer_chain_task(chain: ChainWorld, messages: Sequence[Message], replicate: int) -> str:
    """The answer of the step whose row the messages show; of the last step where they show none."""
    text = "\n\n".join(message.content for message in messages)
    for step in reversed(list(chain.steps)):
        if index_of(chain.steps[step]).find(text):
            return answer_task(chain.steps[step], messages, replicate)
    return answer_task(chain.steps[chain.last], messages, replicate)


def answer_chain_role(chain: ChainWorld, part: str, variant: str, messages: Sequence[Message], replicate: int) -> str:
    """The reply of `critic` or `rewriter` to a conversation about the whole chain."""
    text, about, form = roles.opened(part, messages)
    heads = {
        step: Mind(world, world.rewriter.variant(variant), f"{about}/{step}", form, replicate)
        for step, world in chain.steps.items()
    }
    alone = of_one_step(chain, text)
    if alone is not None:
        step, shown = alone
        return roles.reply_to(part, heads[step], shown, variant)
    evidence = evidence_by_step(chain, text)
    writer = heads[chain.last]
    if part == "critic":
        critiques = [
            {**critique, "step": step}
            for step, mind in heads.items()
            if evidence[step].quoted
            for critique in criticise(mind, evidence[step])
        ]
        if not critiques:
            return roles.NOTHING_FAILED
        critiques.sort(key=lambda one: -len(one["failures"]))
        return roles.written(writer, {"critiques": critiques[: roles.MOST_CRITIQUES + 1]}, "critiques")
    texts: dict[str, str] = {}
    said = []
    for step, mind in heads.items():
        if step not in evidence[step].prompts:
            continue
        quiet = (
            not evidence[step].remarks and not evidence[step].failures() and evidence[step].kind in {"cause", "causes"}
        )
        if quiet:
            texts[step] = evidence[step].prompts[step]
            continue
        prompts, hypothesis = rewrite(mind, evidence[step])
        texts |= prompts
        said.append(hypothesis)
    if not texts:
        return "I would gladly rewrite your prompts, but I do not see them: please send each in a tagged block."
    return roles.written(
        writer, {"hypothesis": " ".join(said) or "Clearer wording helps.", "prompts": texts}, "prompts"
    )


def of_one_step(chain: ChainWorld, text: str) -> tuple[str, Evidence] | None:
    """The step, with its evidence, that a request is about which shows one prompt in a fence and none in tagged blocks.

    That is the first step whose rows it quotes: what that step wrote may read as a row of the next. What a step before
    the last wrote is held against what is right, as in a trace: the text says only how the chain should have ended.
    """
    for step, world in chain.steps.items():
        evidence = read_evidence(world, text)
        if evidence.tagged:
            return None
        if evidence.quoted:
            if step != chain.last:
                evidence = replace(
                    evidence, quoted=tuple(replace(one, expected=one.row.right) for one in evidence.quoted)
                )
            return step, evidence
    return None


def evidence_by_step(chain: ChainWorld, text: str) -> dict[str, Evidence]:
    """What a request shows of each step: its prompt, the failures that began there, and the remarks on it."""
    first = next(iter(chain.steps))
    whole = read_evidence(chain.steps[first], text)
    blamed = _blamed(chain, text)
    found = {}
    for step in chain.steps:
        known = whole.remarks if step == first else read_evidence(chain.steps[step], text).remarks
        # a remark that names no step may concern each of them; what stands outside of the lines is nobody's remark
        remarks = tuple(one for one in known if one.fix and one.step in {step, ""})
        prompts = {step: whole.prompts[step]} if step in whole.prompts else {}
        found[step] = replace(whole, prompts=prompts, quoted=tuple(blamed.get(step, ())), remarks=remarks)
    return found


def _blamed(chain: ChainWorld, text: str) -> dict[str, list[Quoted]]:
    """Failures by the step at which they began, as far as the traces that the text shows let one see."""
    steps = list(chain.steps)
    blamed: dict[str, list[Quoted]] = {}
    for line in text.splitlines():
        value = object_of(line)
        if value is None or "inputs" not in value:
            continue
        inputs, trace = value["inputs"], value.get("trace")
        shown = " | ".join(map(text_of, inputs.values())) if isinstance(inputs, dict) else text_of(inputs)
        found = index_of(chain.steps[steps[0]]).find(shown)
        number, answer = value.get("n"), value.get("answer")
        if (
            not found
            or not isinstance(number, int)
            or answer is None
            or text_of(answer) == text_of(value.get("expected"))
        ):
            continue
        step, quoted = _begun(chain, found[0].row.id, trace if isinstance(trace, dict) else {}, value)
        blamed.setdefault(step, []).append(replace(quoted, n=number))
    return blamed


def _begun(chain: ChainWorld, row_id: str, trace: Mapping[str, Json], value: Mapping[str, Json]) -> tuple[str, Quoted]:
    """The first step whose output the trace shows to be wrong; the last one where it shows none."""
    for step, world in list(chain.steps.items())[:-1]:
        row: WorldRow = world.rows[row_id]
        shown = trace.get(step)
        if shown is None:
            continue
        wrote = text_of(shown)
        right = parsed_object(wrote) == row.right if world.task == "extract" else wrote.strip() == text_of(row.right)
        if not right:
            return step, Quoted(row, 0, row.right, wrote)
    last = chain.steps[chain.last]
    return chain.last, Quoted(last.rows[row_id], 0, value.get("expected"), text_of(value["answer"]))
