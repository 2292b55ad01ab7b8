"""The fast client, for endpoints that speak OpenAI's chat completions, on aiohttp.

`addresses` says which models it serves and where they are, `families` what OpenAI's reasoning models do not take,
`body` writes a request, `answers` reads an answer, `connection` sends and waits, `client` fulfils `ports.ModelClient`.
"""
