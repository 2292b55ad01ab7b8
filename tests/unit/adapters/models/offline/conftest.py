"""Small worlds, and requests in the forms that different optimizers write."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from promptprop.adapters.models.offline.task import answer_task
from promptprop.adapters.models.offline.world import Powers, World
from promptprop.adapters.models.offline.worldfile import load_world
from promptprop.domain.models import Message

DATA = Path(__file__).parent / "data"
SEED_PROMPT = "You route messages of customers to a desk.\n\nMessage: {{ text }}"
BEST_RULES = (
    "- Unrecognised charges are for security.\n- When a whole group is locked out, send it to technical.\n"
    "- A wish to cancel belongs to sales.\n- Write one label and nothing else."
)
SURE = Powers(able=1.0, crowd=0.0, forget=0.0, mislabel=0.0, bloat=0.0, malformed=0.0)


@pytest.fixture(scope="session")
def desks() -> World:
    """A world of 24 messages and three rules."""
    return load_world(DATA / "desks.world.yaml")


@pytest.fixture(scope="session")
def sure_desks(desks: World) -> World:
    """The same world with a critic and rewriter that never err."""
    return replace(desks, rewriter=SURE)


@pytest.fixture(scope="session")
def receipts() -> World:
    """A world of four extractions."""
    return load_world(DATA / "receipts.world.yaml")


@pytest.fixture(scope="session")
def world_folder() -> Path:
    """Where the worlds lie."""
    return DATA


@pytest.fixture(scope="session")
def seed_prompt() -> str:
    """A prompt that states nothing."""
    return SEED_PROMPT


@pytest.fixture(scope="session")
def best_prompt() -> str:
    """A prompt that states all rules and the format."""
    return f"You route messages of customers to a desk.\n\n{BEST_RULES}\n\nMessage: {{{{ text }}}}"


@pytest.fixture(scope="session")
def ask_task() -> Callable[..., str]:
    """Ask the task model: world, prompt, row id, replicate."""

    def ask(world: World, prompt: str, row_id: str, replicate: int = 0) -> str:
        text = str(world.rows[row_id].inputs["text"])
        return answer_task(world, [Message("user", prompt.replace("{{ text }}", text))], replicate)

    return ask


def json_line(world: World, n: int, row_id: str, answer: object) -> str:
    """A failure as our roles show it: keys sorted, angle brackets escaped."""
    row = world.rows[row_id]
    feedback = f"label: expected {row.expected!r}, got {answer!r}"
    text = answer if isinstance(answer, str) else json.dumps(answer)
    value = {"n": n, "inputs": dict(row.inputs), "expected": row.expected, "answer": text, "feedback": feedback}
    return json.dumps(value, sort_keys=True, ensure_ascii=False).replace("<", "\\u003c")


@pytest.fixture(scope="session")
def critic_text() -> Callable[..., str]:
    """A critic's request in our own form: world, prompt, {row id: answer}."""

    def write(world: World, prompt: str, answers: dict[str, object], prompts: Sequence[str] = ("main",)) -> str:
        blocks = "\n".join(f'<prompt step="{step}">\n{prompt}\n</prompt>' for step in prompts)
        lines = "\n".join(json_line(world, n, key, answer) for n, (key, answer) in enumerate(answers.items(), 1))
        return f"You are the critic.\n\n# Task\nRoute messages.\n\n{blocks}\n\n<failures>\n{lines}\n</failures>\nReply."

    return write


@pytest.fixture(scope="session")
def markdown_text() -> Callable[..., str]:
    """A rewriter's request as a reflective optimizer with markdown examples writes it."""

    def write(world: World, prompt: str, answers: dict[str, object]) -> str:
        examples = []
        for n, (key, answer) in enumerate(answers.items(), 1):
            row = world.rows[key]
            shown = answer if isinstance(answer, str) else json.dumps(answer)
            feedback = f"expected {row.expected!r}" if isinstance(row.expected, str) else json.dumps(row.expected)
            lead = "" if isinstance(row.expected, str) else "The correct answer is "
            examples.append(
                f"# Example {n}\n## Inputs\n### text\n{row.inputs['text']}\n\n## Generated Outputs\n{shown}\n\n"
                f"## Feedback\nlabel: {lead}{feedback}, got {shown!r}\n"
            )
        body = "\n\n".join(examples)
        return (
            f"These are the instructions of an assistant:\n```\n{prompt}\n```\n\nExamples of its work:\n```\n{body}\n"
            "```\n\nWrite a new instruction for the assistant. Provide it within ``` blocks."
        )

    return write


@pytest.fixture(scope="session")
def rewriter_text() -> Callable[..., str]:
    """A rewriter's request in our own form: prompt, critiques, failure lines, tried lines, kind."""

    def write(
        prompt: str,
        critiques: Sequence[dict[str, str]] = (),
        kind: str = "cause",
        failures: Sequence[str] = (),
        tried: Sequence[dict[str, object]] = (),
        steps: Sequence[str] = ("main",),
    ) -> str:
        blocks = "\n".join(f'<prompt step="{step}">\n{prompt}\n</prompt>' for step in steps)
        parts = ["You improve a prompt.\n\n# Task\nRoute each message to one desk.\n", blocks]
        for tag, lines in (
            ("critiques", [json.dumps(item) for item in critiques]),
            ("failures", list(failures)),
            ("tried", [json.dumps(item) for item in tried]),
        ):
            if lines:
                parts.append(f"<{tag}>\n" + "\n".join(lines) + f"\n</{tag}>")
        parts.append(f"Hypothesis kind: {kind}. Do it.\n")
        parts.append('Reply with nothing but a JSON object:\n{"hypothesis": "…", "prompts": {"main": "…"}}')
        return "\n".join(parts)

    return write
