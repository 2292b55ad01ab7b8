"""The groups of calls that `AsyncClient` offers; each name says which call it sends."""

from __future__ import annotations

from promptprop.client.calls import checks, datasets, people, prompts, results, runs, service
from promptprop.client.groups import AsyncGroup, AsyncSender, alists, awaits


class AsyncRuns(AsyncGroup):
    """Runs: begin, stop, resume and read them."""

    start = awaits(runs.start)
    evaluate = awaits(runs.evaluate)
    get = awaits(runs.show)
    list = alists(runs.list_runs)
    cancel = awaits(runs.cancel)
    pause = awaits(runs.pause)
    resume = awaits(runs.resume)
    remove = awaits(runs.remove)
    history = alists(runs.history)


class AsyncResults(AsyncGroup):
    """What runs have measured and found."""

    evaluations = alists(results.evaluations)
    row = alists(results.row)
    matrix = alists(results.matrix)
    candidates = alists(results.candidates)
    candidate = awaits(results.candidate)
    diff = awaits(results.diff)
    report = awaits(results.report)
    report_markdown = awaits(results.report_markdown)
    export = awaits(results.export)
    compare = awaits(results.compare)


class AsyncPeople(AsyncGroup):
    """What people decide about runs."""

    note = awaits(people.note)
    override = awaits(people.override)
    raise_caps = awaits(people.raise_caps)
    retry_errors = awaits(people.retry_errors)
    approve = awaits(people.approve)
    edit = awaits(people.edit)
    refuse = awaits(people.refuse)
    review = awaits(people.review)
    list = alists(people.list_interventions)
    get = awaits(people.show_intervention)


class AsyncChecks(AsyncGroup):
    """Prompts held against their baselines."""

    start = awaits(checks.start)
    get = awaits(checks.show)
    report = awaits(checks.report)


class AsyncPrompts(AsyncGroup):
    """Named prompts."""

    list = alists(prompts.list_prompts)
    versions = alists(prompts.versions)
    get = awaits(prompts.show)
    save = awaits(prompts.save)
    diff = awaits(prompts.diff)
    export = awaits(prompts.export)
    render = awaits(prompts.render)
    set_alias = awaits(prompts.set_alias)
    remove_alias = awaits(prompts.remove_alias)


class AsyncDatasets(AsyncGroup):
    """Stored rows."""

    upload = awaits(datasets.upload)
    validate = awaits(datasets.validate)
    list = alists(datasets.list_datasets)
    get = awaits(datasets.show)
    rows = alists(datasets.rows)
    split = awaits(datasets.split)
    remove = awaits(datasets.remove)


class AsyncModels(AsyncGroup):
    """The models that the server's keys reach."""

    list = awaits(service.list_models)
    ping = awaits(service.ping)


class AsyncConfigs(AsyncGroup):
    """Configurations without a run."""

    validate = awaits(service.validate)
    plan = awaits(service.plan)
    schema = awaits(service.schema)


class AsyncTokens(AsyncGroup):
    """Who may ask, and what was done."""

    list = alists(service.list_tokens)
    create = awaits(service.create_token)
    get = awaits(service.show_token)
    revoke = awaits(service.revoke_token)
    audit = alists(service.audit)


class AsyncServer(AsyncGroup):
    """The server itself."""

    me = awaits(service.me)
    health = awaits(service.health)
    ready = awaits(service.ready)
    metrics = awaits(service.metrics)


class AsyncGroups:
    """All groups, each over the same client."""

    def __init__(self, client: AsyncSender) -> None:
        """`client` sends the calls."""
        self.runs = AsyncRuns(client)
        self.results = AsyncResults(client)
        self.people = AsyncPeople(client)
        self.checks = AsyncChecks(client)
        self.prompts = AsyncPrompts(client)
        self.datasets = AsyncDatasets(client)
        self.models = AsyncModels(client)
        self.configs = AsyncConfigs(client)
        self.tokens = AsyncTokens(client)
        self.server = AsyncServer(client)
