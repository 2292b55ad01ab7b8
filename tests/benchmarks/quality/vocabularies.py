"""Words of the simulated offices: what people write about (things and what befalls them) and the desks that answer.

Tuning families speak the words of `TELECOM` and `SHOP`; reporting families speak those of `CITY`, `CLINIC` and
`FREIGHT`. A condition has three wordings that people use, with `{}` for the thing, and three by which a rule names it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """What can befall a thing: `written` by people, `named` in rules; `words` are what any wording of it must hold."""

    written: tuple[str, str, str]
    named: tuple[str, str, str]
    words: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """An office: its desks with the things that are theirs by default, what can befall things, and small talk."""

    name: str
    task: str
    desks: dict[str, tuple[str, ...]]
    conditions: tuple[Condition, ...]
    openings: tuple[str, ...]
    asides: tuple[str, ...]


STOLEN = Condition(
    ("my {} was stolen", "somebody took my {}", "thieves got the {}"), ("stolen", "taken by thieves", "lost to theft"),
    ("stolen", "thief", "thieves", "theft"),
)  # fmt: skip
DOUBLE = Condition(
    ("I got the {} twice", "the {} came in duplicate", "two of the same {} arrived"),
    ("sent twice", "received in duplicate", "doubled"), ("twice", "duplicate", "doubled", "double"),
)  # fmt: skip
EXPIRED = Condition(
    ("the {} has expired", "my {} ran out", "the {} is past its date"),
    ("expired", "run out", "past its date"), ("expired", "run out", "past its date"),
)  # fmt: skip
BROKEN = Condition(
    ("the {} is broken", "my {} does not work any more", "the {} fell apart"),
    ("broken", "out of order", "fallen apart"), ("broken", "out of order", "fallen apart", "defect"),
)  # fmt: skip
WRONG_NAME = Condition(
    ("the {} is in the wrong name", "somebody else's name is on the {}", "the {} names another person"),
    ("in the wrong name", "naming another person", "made out to somebody else"),
    ("wrong name", "another person", "somebody else"),
)  # fmt: skip
ABROAD = Condition(
    ("I need the {} while abroad", "the {} is for use in another country", "I took the {} to a foreign place"),
    ("used abroad", "needed in another country", "taken to a foreign place"), ("abroad", "another country", "foreign"),
)  # fmt: skip
UPGRADE = Condition(
    ("I want a bigger {}", "can I swap the {} for a larger one", "please upgrade my {}"),
    ("to be upgraded", "swapped for a larger one", "wanted bigger"), ("upgrade", "larger", "bigger"),
)  # fmt: skip
DEATH = Condition(
    ("the owner of the {} has died", "my late father's {} is still running", "the {} of a deceased relative"),
    ("of somebody who died", "of the deceased", "left by a deceased person"), ("died", "deceased", "late owner"),
)  # fmt: skip
GIFT = Condition(
    ("the {} was a present", "I gave the {} as a gift", "the {} came as a gift from friends"),
    ("given as a gift", "received as a present", "bought as a gift"), ("gift", "present"),
)  # fmt: skip
COURT = Condition(
    ("my lawyer asks about the {}", "the {} is before a court", "there is a lawsuit over the {}"),
    ("in a lawsuit", "before a court", "raised by a lawyer"), ("lawsuit", "court", "lawyer"),
)  # fmt: skip
CHILD = Condition(
    ("the {} is for my child", "my daughter, a minor, has the {}", "the {} belongs to a minor"),
    ("of a child", "belonging to a minor", "meant for a child"), ("child", "minor"),
)  # fmt: skip
PRESS = Condition(
    ("I write about the {} for a newspaper", "as a journalist I ask about the {}", "the {} will be in a press article"),
    ("raised by the press", "asked about by a journalist", "meant for a newspaper"),
    ("press", "journalist", "newspaper"),
)  # fmt: skip
FLOOD = Condition(
    ("the {} got wet in the flood", "water ran over the {}", "the {} was soaked by rain"),
    ("damaged by water", "soaked in a flood", "wet from rain"), ("water", "flood", "wet", "soaked"),
)  # fmt: skip
EARLY = Condition(
    ("I want to end the {} early", "let me quit the {} before its term", "can the {} stop ahead of time"),
    ("ended early", "quit before its term", "stopped ahead of time"), ("early", "before its term", "ahead of time"),
)  # fmt: skip

OPENINGS = (
    "Hello,", "Good morning.", "Dear team,", "Hi there!", "To whom it may concern:", "Good evening,", "Greetings.",
    "Please help.", "Quick question:", "As discussed on Monday,",
)  # fmt: skip
ASIDES = (
    "I have been with you for years.", "My neighbour had the same trouble.", "I called on Tuesday already.",
    "It is rather urgent.", "There is no rush.", "The weather did not help either.", "I attach two pictures.",
    "You can reach me in the evening.", "My number is on file.", "I could not find this on your pages.",
    "We moved here in spring.", "The last time it went smoothly.", "I am not good with forms.",
    "Somebody at the front said so.", "Thanks in advance.", "Kind regards, J. Moor", "Yours, Ada Brandt",
    "I waited for half an hour.", "It is about my household.", "This has been going on since May.",
)  # fmt: skip

TELECOM = Vocabulary(
    "telecom",
    "Route each message of a telephone customer to one desk.",
    {
        "accounts": ("login", "profile"),
        "invoicing": ("bill", "receipt"),
        "hardware": ("router", "handset"),
        "network": ("signal", "landline"),
        "contracts": ("tariff", "agreement"),
        "shipping": ("package", "courier slot"),
        "fraud": ("alert", "blocklist"),
    },
    (STOLEN, DOUBLE, EXPIRED, BROKEN, WRONG_NAME, ABROAD, UPGRADE, DEATH, GIFT, COURT),
    OPENINGS,
    ASIDES,
)
SHOP = Vocabulary(
    "shop",
    "Sort each message to a furniture shop by the team that answers it.",
    {
        "orders": ("basket", "order form"),
        "warehouse": ("shelf", "cupboard"),
        "payments": ("card charge", "instalment"),
        "care": ("sofa", "mattress"),
        "design": ("kitchen plan", "fabric sample"),
        "rewards": ("voucher", "loyalty card"),
    },
    (DOUBLE, EXPIRED, BROKEN, WRONG_NAME, GIFT, FLOOD, EARLY, CHILD, COURT),
    OPENINGS,
    ASIDES,
)
CITY = Vocabulary(
    "city",
    "Assign each letter to a town hall to the office that deals with it.",
    {
        "registry": ("passport", "birth record"),
        "traffic": ("parking permit", "road sign"),
        "housing": ("rent grant", "building licence"),
        "waste": ("bin", "compost crate"),
        "schools": ("bus pass", "meal card"),
        "taxes": ("dog levy", "tax notice"),
        "culture": ("library card", "museum ticket"),
        "legal": ("bylaw", "summons"),
    },
    (STOLEN, DOUBLE, EXPIRED, BROKEN, WRONG_NAME, ABROAD, DEATH, COURT, CHILD, PRESS, FLOOD, EARLY),
    OPENINGS,
    ASIDES,
)
CLINIC = Vocabulary(
    "clinic",
    "Forward each note to a clinic to the unit that must see it.",
    {
        "reception": ("appointment", "waiting ticket"),
        "pharmacy": ("prescription", "inhaler"),
        "laboratory": ("blood test", "swab"),
        "records": ("chart", "referral"),
        "finance": ("co-payment", "estimate"),
        "equipment": ("wheelchair", "brace"),
    },
    (STOLEN, DOUBLE, EXPIRED, BROKEN, WRONG_NAME, ABROAD, CHILD, COURT, DEATH, PRESS, EARLY),
    OPENINGS,
    ASIDES,
)
FREIGHT = Vocabulary(
    "freight",
    "Hand each message to a forwarder to the group in charge.",
    {
        "dispatch": ("pallet", "loading slot"),
        "customs": ("declaration", "seal"),
        "claims": ("waybill", "damage form"),
        "rates": ("quotation", "surcharge"),
        "drivers": ("tachograph", "roster"),
        "storage": ("container", "cold room"),
        "insurance": ("policy", "deductible"),
    },
    (STOLEN, DOUBLE, EXPIRED, BROKEN, WRONG_NAME, ABROAD, UPGRADE, FLOOD, EARLY, COURT, PRESS, GIFT),
    OPENINGS,
    ASIDES,
)
