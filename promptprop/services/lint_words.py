"""The words by which the static checks of prompts know what they look for. English alone."""

from __future__ import annotations

import re

SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")
BULLET = re.compile(r"^\s*(?:[-*•]|\d{1,3}[.)])\s*")
PLACEHOLDER = re.compile(r"\{\{[-+]?\s*([\w.]+)(?![\w.])[^{}]*\}\}")
TAG = re.compile(r"\{[{%][^{}]*[}%]\}")
NAMED = re.compile(r"(?<![\w.])[^\W\d]\w*")
FORM = re.compile(
    r"\b(?:answer|reply|respond|return|output|write|print|give|produce|name|format)\w*\b[^.\n]{0,80}"
    r"\b(?:only|just|json|xml|yaml|csv|markdown|list|lines?|words?|sentences?|label|number|one of|exactly|nothing else|"
    r"no more than|at most|format|as follows|object|yes or no|greeting)\b|\b(?:json|xml|yaml|csv)\b",
    re.IGNORECASE,
)
VAGUE = re.compile(
    r"\b(?:as appropriate|appropriately|as needed|if needed|if necessary|where possible|if possible|try to|properly|"
    r"suitabl[ey]|reasonabl[ey]|and so on|etc\.?|various|some kind of|be careful|carefully consider|"
    r"(?:high|good)[- ]quality|nice|as good as possible|use common sense|be smart)(?!\w)",
    re.IGNORECASE,
)
LEFTOVER = re.compile(
    r"\b(?:TODO|FIXME|XXX|TBD|lorem ipsum)\b|\[(?:insert|your|fill in|add)\b[^\]\n]{0,40}\]|"
    r"<(?:insert|your)\b[^>\n]{0,40}>",
    re.IGNORECASE,
)
SECRET = re.compile(
    r"\b(?:sk|pk|rk)-(?:[a-z]+-)?[A-Za-z0-9_-]{20,}|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{30,}|"
    r"\bxox[abprs]-[\w-]{10,}|\bAIza[\w-]{30,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|"
    r"(?i:\b(?:password|passwd|api[_-]?key|secret|token)\b\s*[:=]\s*[\"']?(?!\{\{|\$\{|<|\[|x{3,}|\*{3,})"
    r"(?=[^\s\"',;]{0,64}\d)[^\s\"',;]{8,})"
)
SEPARATED = re.compile(r"^\s*(?:[\"'`<>|#*\-:=~\[\](){}]|\w+\s*[:=]|\d+[.)]|</?\w+>)*\s*$")
ELEMENT = re.compile(r"<(/?)([A-Za-z][\w-]*)>")
NEVER = re.compile(r"\b(?:never|do not|don't|must not|should not|shouldn't|avoid)\b", re.IGNORECASE)
ALWAYS = re.compile(r"\b(?:always|must|should|make sure to|be sure to)\b", re.IGNORECASE)
ORDERS = re.compile(f"{NEVER.pattern}|{ALWAYS.pattern}|\\bplease\\b", re.IGNORECASE)
LISTED = re.compile(r"^[ \t]*[-*•][ \t]*[\"'`“]?([\w][\w /-]{0,40}?)[\"'`”]?\s*(?::|$|–|—)", re.MULTILINE)

_IT = r"(?:it|the \w+|your \w+)"
OPPOSITES: tuple[tuple[str, str, str], ...] = (
    (
        rf"\b(?:be (?:brief|concise|short)|(?:keep|make) {_IT} (?:brief|concise|short)|concisely)\b",
        r"\b(?:in (?:great |full )?detail|be (?:thorough|detailed|comprehensive|exhaustive)|at length|elaborate)\b",
        "short and detailed answers",
    ),
    (
        (
            r"\b(?:(?:json|xml|csv) (?:object )?(?:only|and nothing else)|only (?:the |a |one )?(?:json|xml|csv)|"
            r"one word|single word|just the label|only the label)\b"
        ),
        (
            r"\b(?:explain (?:your|the|why)|give (?:a |your )?reasons?|justify|show your (?:work|reasoning)|"
            r"think (?:aloud|step by step))\b"
        ),
        "a bare answer and an explanation",
    ),
    (
        r"\bdo not (?:apologi[sz]e|greet)\b",
        r"\b(?<!not )(?:begin with an apology|apologi[sz]e (?:first|for)|greet the)\b",
        "greeting or apologising, and not doing so",
    ),
    (r"\bformal(?:ly)?\b", r"\b(?:casual(?:ly)?|informal(?:ly)?|chatty|slang)\b", "a formal and a casual tone"),
)
