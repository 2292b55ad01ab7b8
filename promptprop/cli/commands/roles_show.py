"""`promptprop roles show`: a role's template, and the form of its reply."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from promptprop.cli.commands.roles_list import RolesConfig
from promptprop.cli.options import EnvFile, Sets
from promptprop.cli.plain import safe
from promptprop.cli.shell import Shell
from promptprop.domain.errors import UsageError

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="Such as juror.", show_default=False)]


def show_role(
    shell: Shell, role: RoleName, config: RolesConfig = None, sets: Sets = None, env_file: EnvFile = None
) -> None:
    """Show the template of a role, and the form of its reply.

    To change it: write it into a file, edit it, and set roles.ROLE.template to that file.
    """
    from promptprop.bootstrap.roles import described_roles

    roles = {one.name: one for one in described_roles(config, sets or [], env_file)}
    if role not in roles:
        raise UsageError(f"there is no role {role!r}", remedy=f"one of: {', '.join(roles)}")
    one = roles[role]
    if shell.json:
        shell.write_json(
            {
                "name": one.name,
                "does": one.summary,
                "models": list(one.models),
                "source": one.source,
                "template": one.template,
                "reply_schema": dict(one.reply_schema),
            }
        )
        return
    shell.write(safe(one.template) + ("" if one.template.endswith("\n") else "\n"))
    if not shell.output:
        schema = json.dumps(one.reply_schema, indent=2, ensure_ascii=False)
        shell.note(f"template: {safe(one.source)}; the reply is a JSON object of this form:\n{schema}")
