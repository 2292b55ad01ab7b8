"""The groups of calls that `Client` offers; each name says which call it sends."""

from __future__ import annotations

from promptprop.client.calls import checks, datasets, people, prompts, results, runs, service
from promptprop.client.groups import Group, Sender, lists, sends


class Runs(Group):
    """Runs: begin, stop, resume and read them."""

    start = sends(runs.start)
    evaluate = sends(runs.evaluate)
    get = sends(runs.show)
    list = lists(runs.list_runs)
    cancel = sends(runs.cancel)
    pause = sends(runs.pause)
    resume = sends(runs.resume)
    remove = sends(runs.remove)
    history = lists(runs.history)


class Results(Group):
    """What runs have measured and found."""

    evaluations = lists(results.evaluations)
    row = lists(results.row)
    matrix = lists(results.matrix)
    candidates = lists(results.candidates)
    candidate = sends(results.candidate)
    diff = sends(results.diff)
    report = sends(results.report)
    report_markdown = sends(results.report_markdown)
    export = sends(results.export)
    compare = sends(results.compare)


class People(Group):
    """What people decide about runs."""

    note = sends(people.note)
    override = sends(people.override)
    raise_caps = sends(people.raise_caps)
    retry_errors = sends(people.retry_errors)
    approve = sends(people.approve)
    edit = sends(people.edit)
    refuse = sends(people.refuse)
    review = sends(people.review)
    list = lists(people.list_interventions)
    get = sends(people.show_intervention)


class Checks(Group):
    """Prompts held against their baselines."""

    start = sends(checks.start)
    get = sends(checks.show)
    report = sends(checks.report)


class Prompts(Group):
    """Named prompts."""

    list = lists(prompts.list_prompts)
    versions = lists(prompts.versions)
    get = sends(prompts.show)
    save = sends(prompts.save)
    diff = sends(prompts.diff)
    export = sends(prompts.export)
    render = sends(prompts.render)
    set_alias = sends(prompts.set_alias)
    remove_alias = sends(prompts.remove_alias)


class Datasets(Group):
    """Stored rows."""

    upload = sends(datasets.upload)
    validate = sends(datasets.validate)
    list = lists(datasets.list_datasets)
    get = sends(datasets.show)
    rows = lists(datasets.rows)
    split = sends(datasets.split)
    remove = sends(datasets.remove)


class Models(Group):
    """The models that the server's keys reach."""

    list = sends(service.list_models)
    ping = sends(service.ping)


class Configs(Group):
    """Configurations without a run."""

    validate = sends(service.validate)
    plan = sends(service.plan)
    schema = sends(service.schema)


class Tokens(Group):
    """Who may ask, and what was done."""

    list = lists(service.list_tokens)
    create = sends(service.create_token)
    get = sends(service.show_token)
    revoke = sends(service.revoke_token)
    audit = lists(service.audit)


class Server(Group):
    """The server itself."""

    me = sends(service.me)
    health = sends(service.health)
    ready = sends(service.ready)
    metrics = sends(service.metrics)


class Groups:
    """All groups, each over the same client."""

    def __init__(self, client: Sender) -> None:
        """`client` sends the calls."""
        self.runs = Runs(client)
        self.results = Results(client)
        self.people = People(client)
        self.checks = Checks(client)
        self.prompts = Prompts(client)
        self.datasets = Datasets(client)
        self.models = Models(client)
        self.configs = Configs(client)
        self.tokens = Tokens(client)
        self.server = Server(client)
