"""Model access. Around a client, from the outside in: ledger, purse (budget), limiter, retry, deadline.

`ledger` answers a run's requests in order, `purse` grants reservations in that order, `flights` are the calls under
way, `endpoint` is a configured model and makes one call, `limiter` and `retry` say how fast and how often. Clients
fulfil `ports.ModelClient`: `litellm_client` serves every provider, `openai_http` is the fast one for endpoints that
speak OpenAI's protocol, `offline` is a simulated model. `failures` gives what went wrong its class in every client,
`parameters` says what is sent besides messages, `keys` names the environment variable that a model needs.
"""
