"""From configured models to open endpoints: which client speaks to which model, at what price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from promptprop.domain.budget import Price
from promptprop.domain.errors import ConfigError, Problem
from promptprop.domain.models import PICO, Json, RoleName, digest
from promptprop.ports import ModelClient
from promptprop.services.reserve import EndpointSpec

if TYPE_CHECKING:
    from promptprop.adapters.models.endpoint import Endpoint
    from promptprop.adapters.models.offline.client import OfflineClient
    from promptprop.domain.config import RunConfig
    from promptprop.domain.model_config import ModelConfig

RUNS = ("optimize", "evaluate", "check")  # activities that run the prompt; the others ask models beside it
ROLES_OF = {
    "optimize": ("critic", "rewriter"),
    "evaluate": (),
    "check": (),
    "calibrate": (),
    "synthesize": ("synthesizer",),
    "lint": ("critic",),
    "infer": (),
    "judge": (),
    "refine": ("rewriter",),
}


def needed_endpoints(config: RunConfig, activity: str) -> dict[str, ModelConfig]:
    """The models that an activity calls, by alias: those of the steps, the roles that it asks, and what metrics ask."""
    wanted = set(ROLES_OF[activity])
    if activity in (*RUNS, "infer"):
        wanted |= {step.endpoint for step in config.steps or ()} or {"task"}
    if activity in (*RUNS, "calibrate", "judge"):
        wanted |= asked_by_metrics(config)
    return {alias: model for alias, model in config.endpoints.items() if alias in wanted}


def asked_by_metrics(config: RunConfig) -> set[str]:
    """Aliases of the models that metrics ask: jurors of each jury, all of them where it names none."""
    wanted: set[str] = set()
    for metric in config.metrics:
        if metric.type == "jury":
            named = metric.options.get("jurors") or [juror.name for juror in config.models.jury]
            wanted |= {f"juror.{name}" for name in named if isinstance(name, str)}
            wanted |= {"manager"} if metric.options.get("rubric") == "auto" else set()
        elif metric.type == "embedding":
            wanted.add("embed")
    return wanted


async def open_endpoints(
    config: RunConfig, environment: Mapping[str, str], activity: str, *, recorded: bool = False
) -> tuple[dict[str, Endpoint], dict[str, EndpointSpec]]:
    """Endpoints with their clients, and what requests to them say. Raises ConfigError where a key is missing.

    `recorded` opens none: only what the run was given from a recording answers it, and no key is needed.
    """
    from promptprop.adapters.models.circuit import CALLERS, ROLE_CALLERS, Circuit
    from promptprop.adapters.models.embedding import EmbeddingClient
    from promptprop.adapters.models.endpoint import Endpoint
    from promptprop.adapters.models.limiter import Limiter
    from promptprop.adapters.models.recorded import RecordedClient
    from promptprop.adapters.models.retry import Retries

    models = needed_endpoints(config, activity)
    client: ModelClient
    if not recorded:
        check_keys(config, environment, activity)
    endpoints: dict[str, Endpoint] = {}
    for alias, model in models.items():
        try:
            client = RecordedClient() if recorded else await open_client(config, model, environment, f"models.{alias}")
            if alias == "embed":
                client = EmbeddingClient(client, simulated=is_simulated(model, environment))
        except BaseException:
            for opened in endpoints.values():
                await opened.client.close()
            raise
        name = _named(model, environment, alias).model
        callers = CALLERS if alias == "task" or alias.startswith(("step.", "juror.")) else ROLE_CALLERS
        endpoints[alias] = Endpoint(
            alias=alias,
            model=name,
            client=client,
            limiter=Limiter(
                model.concurrency, model.rpm, model.tpm, circuit=Circuit(alias, name, model.patience, callers=callers)
            ),
            retries=Retries(count=model.retries),
            timeout=model.timeout,
            max_tokens=_longest_answer(alias, model),
            price=client.price() if recorded else _configured_price(model) or client.price(),
        )
    specs = {
        alias: _spec(config, alias, _named(models[alias], environment, alias), endpoint.price)
        for alias, endpoint in endpoints.items()
    }
    return endpoints, specs


def identities(config: RunConfig, environment: Mapping[str, str], activity: str) -> dict[str, dict[str, Json]]:
    """What answers at each endpoint of an activity: the model's name and all that shapes its answers."""
    found = {}
    for alias, model in needed_endpoints(config, activity).items():
        spec = _spec(config, alias, _named(model, environment, alias), None)
        found[alias] = {"model": spec.model, **spec.parameters}
    return found


def price_endpoints(config: RunConfig, environment: Mapping[str, str], activity: str) -> dict[str, EndpointSpec]:
    """What requests would say and cost, for `plan`: no key is needed and no client is opened."""
    specs = {}
    for alias, model in needed_endpoints(config, activity).items():
        named = _named(model, environment, alias)
        specs[alias] = _spec(config, alias, named, _configured_price(model) or _known_price(config, named))
    return specs


def _known_price(config: RunConfig, model: ModelConfig) -> Price | None:
    """What a model whose name is resolved costs: by its world where it is simulated, else by LiteLLM's list."""
    from promptprop.adapters.models.prices import listed_price

    return _simulated(config, model).price() if model.simulated else listed_price(model.model, model.params)


def _named(model: ModelConfig, environment: Mapping[str, str], alias: str) -> ModelConfig:
    """The model with references in its name resolved: a request's key names what answers, not where it is named."""
    from promptprop.adapters.files.environment import resolve

    return model.model_copy(update={"model": resolve(model.model, environment, f"models.{alias}.model")})


def is_simulated(model: ModelConfig, environment: Mapping[str, str]) -> bool:
    """True for a simulated model, whose name may lie in the environment; False where it cannot be resolved."""
    try:
        return _named(model, environment, "model").simulated
    except ConfigError:
        return False


def all_simulated(config: RunConfig, environment: Mapping[str, str]) -> bool:
    """True where all models are simulated: nothing can be spent, and no number is about a real model."""
    return all(is_simulated(model, environment) for model in config.endpoints.values())


def _spec(config: RunConfig, alias: str, model: ModelConfig, price: Price | None) -> EndpointSpec:
    most = _longest_answer(alias, model)
    return EndpointSpec(model.model, parameters_of(config, model, most), most, price)


def _longest_answer(alias: str, model: ModelConfig) -> int:
    from promptprop.domain.model_config import max_tokens_of

    family = alias.partition(".")[0]
    role: RoleName = "task" if family == "step" else family  # type: ignore[assignment]  # the others are roles
    return max_tokens_of(role, model)


def parameters_of(config: RunConfig, model: ModelConfig, max_tokens: int) -> dict[str, Json]:
    """What shapes the answers of a model, and so is part of a request's key; references stay references."""
    given = {"temperature": model.temperature, "top_p": model.top_p, "max_tokens": max_tokens}
    parameters = {name: value for name, value in given.items() if value is not None}
    world = {"world": world_digest(config, model)} if model.simulated else {}
    return {**parameters, **model.params, **world}


async def open_client(config: RunConfig, model: ModelConfig, environment: Mapping[str, str], key: str) -> ModelClient:
    """The client for a model: simulated ones are offline, others fast where that applies, else through LiteLLM.

    Which client calls a model is no part of a request's key: both send the same. Raises ConfigError.
    """
    from promptprop.adapters.files.environment import resolve_model
    from promptprop.adapters.logs import register_secret
    from promptprop.adapters.models.keys import TOKENS, find_key, secrets_below

    if is_simulated(model, environment):
        return _simulated(config, _named(model, environment, key.removeprefix("models.")))
    resolved = resolve_model(model, environment, key)
    check_address(resolved, environment, key)
    for secret in secrets_below(resolved.params, model.params):
        register_secret(secret)
    params, price = resolved.params, _configured_price(model)
    if choose_client(resolved, environment, key) == "http":
        from promptprop.adapters.models.openai_http.client import OpenAIHttpClient

        http = OpenAIHttpClient(resolved.model, resolved.api_base, resolved.api_key, params, price, environment)
        await http.warm()
        return http
    from promptprop.adapters.models.litellm_client import LiteLLMClient

    # the process's environment over `.env`: LiteLLM itself would only see the former
    api_key = resolved.api_key or find_key(resolved.model, resolved.api_base, environment)
    for sent in (api_key, *map(environment.get, TOKENS)):
        register_secret(sent or "")
    client = LiteLLMClient(resolved.model, api_base=resolved.api_base, api_key=api_key, params=params, price=price)
    await client.warm()
    return client


def choose_client(model: ModelConfig, environment: Mapping[str, str], key: str) -> Literal["http", "litellm"]:
    """Who calls a model whose references are resolved; `key` is its dotted path. Raises ConfigError.

    The fast client wherever it surely sends what LiteLLM would, unless `client` says otherwise.
    """
    from promptprop.adapters.models.openai_http.addresses import applies, find_route, takes_for_itself

    if model.client == "litellm":
        return "litellm"
    if model.client is None:
        return "http" if applies(model.model, model.api_base, model.params, environment) else "litellm"
    problems = []
    if find_route(model.model, model.api_base, model.api_key, environment) is None:
        message = f"{key}.client: no OpenAI-compatible address is known for {model.model}"
        problems.append(Problem(message, remedy=f"set {key}.api_base, or set {key}.client to litellm"))
    for name in filter(takes_for_itself, model.params):
        message = f"{key}.client: {name} in params is an option of LiteLLM, not of a provider"
        problems.append(Problem(message, remedy=f"leave {name} out, or set {key}.client to litellm"))
    if problems:
        raise ConfigError(problems)
    return "http"


def _simulated(config: RunConfig, model: ModelConfig) -> OfflineClient:
    from promptprop.adapters.models.offline.chain import load_any
    from promptprop.adapters.models.offline.client import OfflineClient

    return OfflineClient(load_any(world_file(config, model)), model.model.partition("/")[2])


def check_keys(config: RunConfig, environment: Mapping[str, str], activity: str) -> None:
    """Every model that will be called has its key, and an address. Raises ConfigError naming the variables."""
    problems = []
    for alias, model in needed_endpoints(config, activity).items():
        if is_simulated(model, environment):
            continue
        from promptprop.adapters.files.environment import resolve_model

        resolved = resolve_model(model, environment, f"models.{alias}")
        problems += address_problems(resolved, environment, f"models.{alias}")
        variable = lacking_key(resolved, environment)
        if variable:
            message = f"models.{alias}: {resolved.model} needs a key, and {variable} is not set"
            problems.append(Problem(message, remedy=f"export {variable}=…, put it into .env, or set api_key"))
    if problems:
        raise ConfigError(problems)


def require_answerable(config: RunConfig, environment: Mapping[str, str], activity: str, *, keys: bool = True) -> None:
    """Raises ConfigError, OfflineWorldError where a run could not ask its models; nothing is asked.

    Without `keys`, those that it needs are another process's to have.
    """
    if keys:
        check_keys(config, environment, activity)
    for model in needed_endpoints(config, activity).values():
        if model.simulated:
            _simulated(config, model)
    if config.budget.usd is not None:  # else nobody asks what they cost, and the price list takes a second to read
        require_priced(config, price_endpoints(config, environment, activity))


def check_address(model: ModelConfig, environment: Mapping[str, str], key: str) -> None:
    """A model whose references are resolved is at an address that can be one. Raises ConfigError."""
    if problems := address_problems(model, environment, key):
        raise ConfigError(problems)


def address_problems(model: ModelConfig, environment: Mapping[str, str], key: str) -> list[Problem]:
    """What is wrong with a model's address, its own or that of a variable such as OPENAI_BASE_URL; `key` is its path.

    The address itself is not shown: a key may stand in its place by mistake.
    """
    from promptprop.adapters.models.keys import provider_of
    from promptprop.adapters.models.openai_http.addresses import PROVIDERS, Provider
    from promptprop.domain.settings import WHOLE_ADDRESS, flaw_of

    variables = PROVIDERS.get(provider_of(model.model) or "", Provider()).bases
    variable = next((name for name in variables if environment.get(name)), None)
    if model.api_base is not None:
        flaw, where = flaw_of(model.api_base), f"{key}.api_base: the address"
    elif variable is not None:
        flaw, where = flaw_of(environment[variable]), f"{key}: the address in {variable}"
    else:
        return []
    return [Problem(f"{where} {flaw}", remedy=WHOLE_ADDRESS)] if flaw else []


def lacking_key(model: ModelConfig, environment: Mapping[str, str]) -> str | None:
    """The variable with the key that this model needs and has not, or None; its references are resolved.

    Its server may be on this machine because a variable such as OPENAI_BASE_URL says so: there the http client needs no
    key. LiteLLM would insist on one.
    """
    from promptprop.adapters.models.keys import missing_key
    from promptprop.adapters.models.openai_http.addresses import applies, find_route

    variable = None if model.api_key else missing_key(model.model, model.api_base, environment)
    fast = model.client == "http" or applies(model.model, model.api_base, model.params, environment)
    if variable is None or model.client == "litellm" or not fast:
        return variable
    route = find_route(model.model, model.api_base, model.api_key, environment)
    return None if route is not None and route.key else variable


def require_priced(
    config: RunConfig, specs: Mapping[str, EndpointSpec], raised: Mapping[str, Json] | None = None
) -> None:
    """A money budget needs every price. Raises ConfigError naming the models without one.

    `raised` holds the caps that a resumption asks for: money may be capped there for the first time.
    """
    if config.budget.usd is None and (raised or {}).get("usd") is None:
        return
    unknown = [f"{spec.model} ({alias})" for alias, spec in specs.items() if spec.price is None]
    if unknown:
        raise ConfigError(
            f"budget.usd is set, but the price of {', '.join(unknown)} is not known",
            remedy="set models.ALIAS.price: {prompt_usd_per_million: …, completion_usd_per_million: …} (0 for what is "
            "free), or cap calls or tokens instead",
        )


def world_file(config: RunConfig, model: ModelConfig) -> Path:
    """The world of a simulated model: the one it names, else the one beside the dataset. Raises ConfigError."""
    if model.world:
        return Path(model.world)
    data = config.data.file or next(iter((config.data.files or {}).values()), "")
    if not data:
        raise ConfigError(
            f"{model.model} names no world, and beside a stored dataset there is none",
            remedy="name a world file with `world:`",
        )
    path = Path(data)
    stem = path.name.removesuffix(".gz")
    return path.with_name(f"{stem.rpartition('.')[0] or stem}.world.yaml")


def world_digest(config: RunConfig, model: ModelConfig) -> str:
    """Names a world's contents: another world gives other answers. Raises ConfigError where it cannot be read."""
    from promptprop.adapters.models.offline.chain import chain_files

    path = world_file(config, model)
    try:
        texts = [path.read_text("utf-8"), *(file.read_text("utf-8") for file in chain_files(path).values())]
        return digest(texts[0] if len(texts) == 1 else texts, 16)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the world file of {model.model} cannot be read: {path.name}",
            remedy="a simulated model needs DATASET.world.yaml beside the dataset, or `world:` naming one",
        ) from error


def _configured_price(model: ModelConfig) -> Price | None:
    if model.price is None:
        return None
    listed = model.price
    per_million = (listed.prompt_usd_per_million, listed.completion_usd_per_million, listed.cached_usd_per_million)
    # a fraction of 10⁻¹² USD is rounded up: a money budget must hold
    prompt, completion, cached = (None if usd is None else math.ceil(usd * (PICO // 10**6)) for usd in per_million)
    return Price(prompt or 0, completion or 0, cached)
